"""Real engines as supervised child processes, for a machine that has none; only `gateway.cli` knows them."""
