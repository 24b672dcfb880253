"""Model selection, upstreams, circuit breakers and retries.

Everything that decides which upstream the next model call goes to.
"""
