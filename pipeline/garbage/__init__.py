"""What is kept somewhere, and no row, model, publication or running job needs."""
