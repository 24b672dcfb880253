"""Routes of the native API under `/api`, except administration."""
