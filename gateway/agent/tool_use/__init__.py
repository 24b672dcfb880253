"""Which tools a model is offered, and what bounds a turn's use of them."""
