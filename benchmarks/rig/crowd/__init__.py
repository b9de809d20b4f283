"""A hub as full as the console's aim speaks of, and what goes on in it while people look."""
