"""Where clients' shapes end: each dialect parses its bodies and encodes the one stream of events."""
