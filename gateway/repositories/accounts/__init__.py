"""Accounts, credentials, sessions, audit log and data about one account."""
