"""Where strangers' Python runs: an interpreter without a way out, in a process that others do not feel."""
