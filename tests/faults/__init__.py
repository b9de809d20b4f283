"""A package, so that what its fixtures set up for all of it ends with it: `scope="package"`."""
