"""The ledger, usage records and their reports. Nothing here calls a model."""
