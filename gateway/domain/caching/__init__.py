"""Keys and values of the response cache. No storage."""
