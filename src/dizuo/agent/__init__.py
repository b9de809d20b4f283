"""The program on the site: serves signed stacks, updates itself, returns what it may. Light."""
