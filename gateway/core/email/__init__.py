"""E-mail addresses and delivery.

What a message says is written in `services.accounts`.
"""
