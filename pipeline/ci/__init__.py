"""Retraining from CI: what changed, the submission, and what is told to the forge."""
