"""Repeated requests get the first one's response, by key or by client retry.

Knows nothing of chats.
"""
