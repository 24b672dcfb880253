"""OpenAI responses: request bodies, stored items, JSON answers and streams."""
