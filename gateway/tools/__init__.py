"""Tools that a model can call, one module or package each, with the registry that runs them."""
