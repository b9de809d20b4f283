"""A family that speaks OpenAI's protocol and tells its answers bit by bit: it counts, up to the
`up_to` of a request, or until nobody wants to hear more. It counts for one caller at a time, so who
asks next is answered only once the count before has ended.
"""
