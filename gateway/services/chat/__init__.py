"""The chat use case: admission, execution and settlement of turns, and the conversations. No HTTP, no SQL."""
