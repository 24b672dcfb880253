"""What a model is shown of a conversation: fitted to its window, the rest summed up."""
