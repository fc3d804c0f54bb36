"""Pictures, plots and pages: pure functions of arrays and numbers, for every step."""
