"""Decoders: features in, logits out; a module for each family."""
