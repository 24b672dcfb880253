"""Classification of questions, for routing, tools and receipts."""

from gateway.agent.intent.classifier import IntentClassifier

__all__ = ["IntentClassifier"]
