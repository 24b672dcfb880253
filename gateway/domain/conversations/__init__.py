"""Stored conversations and their encoding, without SQL and without running turns."""
