"""Everything in Valkey: caches, counters, locks and pub/sub.

Valkey may be lost at any moment: nothing that must survive is stored here.
"""
