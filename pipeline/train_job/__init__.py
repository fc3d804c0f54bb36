"""One training in several pods of a Kubernetes cluster."""
