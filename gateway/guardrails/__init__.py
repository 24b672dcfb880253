"""Guardrails: checks of texts that return verdicts. The agent decides what follows from them."""
