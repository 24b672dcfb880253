"""Running turns in this worker: tasks, live events, limits, messages between workers. No storage, no HTTP."""
