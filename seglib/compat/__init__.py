"""Facades of other libraries over this one, for code that was written for them."""
