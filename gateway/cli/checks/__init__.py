"""Checks of `gateway doctor`. Each returns findings with remedies."""
