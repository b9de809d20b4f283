"""A small family for tests: a layer is a table of texts and their labels, later layers win."""
