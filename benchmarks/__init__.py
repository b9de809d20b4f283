"""Measurements: each module is `python -m benchmarks.NAME` and prints one JSON line last."""
