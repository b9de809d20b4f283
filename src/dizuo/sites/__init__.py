"""The hub's view of sites: joining, check-in, and rollouts that direct sites to releases."""
