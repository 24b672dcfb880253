"""Use cases, one package per subject. No HTTP, no SQL, no vendor formats."""
