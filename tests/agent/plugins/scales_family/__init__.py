"""A family small enough to test engines with: it says on which side of a threshold a number lies.

A base layer has `base.json` with an `offset`; every further layer has `scale.json` with a `scale`.
The score of a value is `value * scale of the last layer + offset`. It is loaded through a real entry
point, as a stranger's family would be. Two traits that real engines have too can be set in a layer:
`aborts_above` ends the process as a fault in native code does, `seconds` makes each request slow.
"""
