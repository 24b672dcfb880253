"""Embedded engines as supervised child processes. Imported only by `gateway.cli`."""
