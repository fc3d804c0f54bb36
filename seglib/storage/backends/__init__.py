"""Where objects are: a folder, or a bucket of S3."""
