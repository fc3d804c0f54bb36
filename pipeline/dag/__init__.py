"""The DAGs, and what their tasks need on a cluster."""
