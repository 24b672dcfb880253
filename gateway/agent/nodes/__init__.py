"""The graph's nodes: each does one thing and returns a partial update of the state."""
