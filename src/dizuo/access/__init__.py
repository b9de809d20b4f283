"""Who may do what: principals, roles and their hashed tokens."""
