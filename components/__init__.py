"""Thin KFP components around the steps of seglib: parameters in, artifacts out."""
