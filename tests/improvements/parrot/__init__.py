"""A family for tests of the loop: a layer is the label that was most common among its rows.

Registered through a real entry point, as a stranger's family would be, so that workers in
processes of their own find it. Training takes milliseconds. `method` has `kind: listen` and, for
tests, `diary` (a file to which each training appends a line at its beginning and one at its end),
`wait_for` (a file that must be there before it ends) and `mute` (what is learned is wrong).
"""
