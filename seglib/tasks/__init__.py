"""What the components do: parameters → configuration → step, with its events."""
