"""The doctor: what is wrong with a compiled pipeline and with where it is to run."""
