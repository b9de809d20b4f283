"""Stacks: their lineage, and all that is known of one version."""
