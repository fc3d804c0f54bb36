"""The road from the events of steps to MLflow: one sender, and the outboxes."""
