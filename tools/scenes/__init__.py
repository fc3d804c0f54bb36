"""How a street scene is drawn: its plan, a canvas with depth, and the painters."""
