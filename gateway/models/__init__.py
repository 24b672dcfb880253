"""SQLAlchemy tables.

Queries belong in `repositories`, schema changes in `alembic/versions`.
"""
