"""The surroundings of a run: cluster, KFP, registry, MLflow, S3."""
