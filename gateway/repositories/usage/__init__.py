"""Usage records, statistics, rollups and budgets, outside of turns."""
