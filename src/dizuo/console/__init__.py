"""The console: pages for people, served by the hub."""
