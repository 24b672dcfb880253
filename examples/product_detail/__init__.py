"""Six agents that create a product detail page through the gateway's roles."""
