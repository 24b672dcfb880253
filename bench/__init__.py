"""Measures the gateway: against the LiteLLM proxy, and under a profiler (`python -m bench --help`)."""
