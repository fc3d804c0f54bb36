"""How a street scene is drawn: one module for each kind of thing in it."""
