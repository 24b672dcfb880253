"""What runs or administers the gateway itself: configuration, health, maintenance."""
