"""Sites: how each of them fares, and how a new one joins."""
