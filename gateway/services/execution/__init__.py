"""Running turns: tasks, live events, limits, messages between workers. No storage."""
