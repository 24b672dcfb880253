"""The gateway's own API format."""
