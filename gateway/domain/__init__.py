"""Plain data and calculations that every layer may use. No I/O."""
