"""A product detail page made by six agents over the gateway: no model, no vendor, only roles."""
