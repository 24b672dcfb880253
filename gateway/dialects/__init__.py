"""Client API formats.

Each dialect parses its request bodies and encodes the shared stream of events.
"""
