"""Releases: signing a stack's digest into TUF metadata, and taking it back."""
