"""What is stored of conversations and how it is encoded.

No SQL, and nothing of a running turn.
"""
