"""The LangGraph agent behind every chat turn.

The graph, its nodes and edges, and what they need for one turn: model calls, routing, guards, tools and the
context window. Nothing here persists data or knows about HTTP.
"""
