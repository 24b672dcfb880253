"""Detection of secrets, personal data and repeated prompts in a model's output. Pure functions."""
