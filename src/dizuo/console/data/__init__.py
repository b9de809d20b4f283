"""Datasets: their versions and rows, and the import of files."""
