"""Real engines as supervised child processes, for a machine that has none; only the command line knows them."""
