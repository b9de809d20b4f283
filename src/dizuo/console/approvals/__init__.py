"""Improvements that wait for a person, with the evidence beside the buttons."""
