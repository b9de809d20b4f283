"""Model families. Every family is a package with the same modules; see `dizuo.families.base`."""
