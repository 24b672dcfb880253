"""Durable streams: event log, partial answers, resumption and recovery of turns.

Does not run turns.
"""
