"""The pipeline: its DAG, its local runner, and its command line."""
