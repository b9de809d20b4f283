"""Releases, and rollouts of them to sites."""
