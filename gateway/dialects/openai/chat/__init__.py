"""OpenAI chat completions: request bodies, JSON answers and streams."""
