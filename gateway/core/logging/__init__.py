"""Structured logging: setup, redaction of secrets, sampling, safe tracebacks."""
