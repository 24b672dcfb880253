"""Configured roles: their prompts, output schemas and answers. No conversations."""
