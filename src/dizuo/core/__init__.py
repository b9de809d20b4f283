"""What every package stands on. Imports no sibling."""
