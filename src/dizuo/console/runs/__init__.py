"""Runs: what runs and has run, and starting a recipe."""
