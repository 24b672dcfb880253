"""Running turns: tasks, live events, limits and the worker bus, without storage."""
