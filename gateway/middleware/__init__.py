"""Pure ASGI middleware: streams and disconnects pass through unbuffered. No business logic."""

from gateway.middleware.stack import install_middleware

__all__ = ["install_middleware"]
