"""Problems of a compiled pipeline and of its surroundings, found before a run."""
