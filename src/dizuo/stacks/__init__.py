"""Recipes, stack versions, lineage and trace."""
