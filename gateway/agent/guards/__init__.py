"""What guards are shown of a turn, and what follows from their verdicts."""
