"""Rules that a stack must meet, their measurement on exported stacks, and the report."""
