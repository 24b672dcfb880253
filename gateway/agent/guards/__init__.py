"""Apply guardrail verdicts to a turn: its input, its tool results and its output.

The checks themselves live in `gateway.guardrails`.
"""
