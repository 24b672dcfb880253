"""OpenAI's dialect, as its official clients parse it."""
