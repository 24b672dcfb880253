"""The composition root: the only place that constructs services and decides what they share."""
