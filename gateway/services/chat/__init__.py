"""The chat use case: turns and conversations, without HTTP and SQL."""
