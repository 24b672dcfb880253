"""Durable streams: event log, partial answers, resumption and recovery of turns.

Turns run in `services.execution`.
"""
