"""The first page: a project in figures, with their histories."""
