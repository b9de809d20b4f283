"""The meter story: real digits, a small vision base, and a camera that is mounted differently."""
