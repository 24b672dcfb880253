"""Routes for administrators under `/api/admin`, and the state of circuit breakers."""
