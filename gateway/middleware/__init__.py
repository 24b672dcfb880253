"""The edge: pure ASGI, so that streams and disconnects pass through untouched."""

from gateway.middleware.stack import install_middleware

__all__ = ["install_middleware"]
