"""The MLflow runs of pipeline runs: connection, writing, queries."""
