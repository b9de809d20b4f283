"""A family small enough to test engines with: it says on which side of a threshold a number lies.

A base layer has `base.json` with an `offset`; every further layer has `scale.json` with a `scale`.
The score of a value is `value * scale of the last layer + offset`. It is loaded through a real
entry point, as a stranger's family would be. A layer may have the vices of real engines:
`aborts_above` and `aborts_on_open` end the process as a fault in native code does, `stumbles_at`
is a defect in the family's Python, `misfit` is refused, `seconds` makes requests slow, those that
have the value `slow_at` or all.
"""
