"""Repeated requests get the first one's response, by key or by client retry.

Independent of what a request does.
"""
