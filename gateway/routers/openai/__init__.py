"""Routes of the OpenAI-compatible API under `/v1`."""
