"""Accounts, principals, audit records and backoff, as plain data and calculations."""
