"""Encoders: an image in, features {"P0" … "P5"} at stride 2**level out."""
