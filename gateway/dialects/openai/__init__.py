"""OpenAI's API format, as parsed by its official clients."""
