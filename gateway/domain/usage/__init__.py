"""Budgets, usage records, turn records and reports, as plain data and calculations."""
