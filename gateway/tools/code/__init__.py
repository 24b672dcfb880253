"""The tool `code`.

Runs untrusted Python in an isolated interpreter process with limits.
"""
