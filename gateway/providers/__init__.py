"""Providers of models: one package per vendor, and what the vendors share.

Everything that has a vendor's shape (URLs, headers, bodies, errors) stays in this package.
"""
