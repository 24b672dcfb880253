"""Accounts: authentication, sessions, API keys, passwords, deletion. No chat turns."""
