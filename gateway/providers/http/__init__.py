"""HTTP with vendors: the shared client, one exchange, decoding of streams.

Nothing here knows a vendor.
"""
