"""The improve loop: reviewed samples → dataset version → tune → gate → release → rollout."""
