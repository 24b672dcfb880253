"""Database access: repositories by subject, and the unit of work.

SQL lives only here. No transaction is held across a model call, and nothing here calls a service.
"""
