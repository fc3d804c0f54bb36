"""What can be wrong with a dataset: in a pair, in a mask, between the splits."""
