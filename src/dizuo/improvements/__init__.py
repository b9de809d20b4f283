"""The improve loop: returned → reviewed → dataset version → tune → gate → release → rollout."""
