"""One model call: its request, timeouts, stream and accumulated response.

Calls for the answer and auxiliary calls; which model is called is decided in `agent.routing`.
"""
