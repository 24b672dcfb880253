"""Prometheus metrics: definitions, exposition, and statistics of recent requests."""
