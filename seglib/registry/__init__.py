"""The model registry: champion, promotion, release, lineage."""
