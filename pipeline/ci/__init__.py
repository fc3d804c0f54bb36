"""Retraining from CI: changes, submission, and the report to the forge."""
