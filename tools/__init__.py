"""What makes data for tests and samples; neither installed nor hashed."""
