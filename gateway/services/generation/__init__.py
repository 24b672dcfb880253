"""Embeddings and images: metered model calls outside chat turns. No conversations."""
