"""Storage that no row, model, publication or running job needs."""
