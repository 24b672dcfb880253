"""Selection of tools for a model, and limits on their use.

The tools themselves live in `gateway.tools`.
"""
