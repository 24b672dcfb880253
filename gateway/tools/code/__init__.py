"""The tool `code`: runs untrusted Python in an isolated interpreter process with limits."""
