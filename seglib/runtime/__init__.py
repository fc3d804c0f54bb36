"""What surrounds a step in a pod or a process: events, provenance, KFP's run."""
