"""MLflow runs: from a step's events to the row of its pipeline run."""
