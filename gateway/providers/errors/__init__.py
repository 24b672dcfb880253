"""Classification of vendor errors, and redaction of their messages."""
