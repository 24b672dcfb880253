"""Credentials and secrets: API keys, passwords, tokens, encryption.

Pure functions and ciphers only. Who may do what is decided in `services.accounts`.
"""
