"""What a document needs around it: the cluster, KFP, the registry, MLflow, S3."""
