"""Nodes of the graph: one step each, returning a partial update of the state."""
