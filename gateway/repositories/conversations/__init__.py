"""Conversations, messages and stored responses outside of running turns."""
