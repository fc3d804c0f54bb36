"""A configuration from a dataset and a machine: look, choose, measure, write."""
