"""Opening, running and closing turns, with reservations."""
