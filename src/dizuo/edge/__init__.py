"""What hub and agent share: wire types, site transitions, TUF verification, egress policy."""
