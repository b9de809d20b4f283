"""A client of the hub's `/api/v1`, for the command line and for programs."""
