"""The local intent classifier."""

from gateway.agent.intent.classifier import IntentClassifier

__all__ = ["IntentClassifier"]
