"""Infrastructure for every layer: settings, errors, logging, metrics, security.

Nothing here knows about chats, models or accounts, and nothing here imports another `gateway` package.
"""
