"""Training: losses, optimizer, precision, checkpoints, and the loop around them."""
