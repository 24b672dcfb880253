"""Vendors of models: everything shaped by a vendor ends in this package."""
