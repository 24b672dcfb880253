"""Features of texts and the fitted heads that judge them, shared by the input guards."""
