"""Past runs: comparison and reproduction."""
