"""Versioned tables of samples: import, splits, diffs, overlaps, and the review of returned ones."""
