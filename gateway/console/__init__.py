"""Serves the built browser console and the API reference; no API routes and no application logic."""
