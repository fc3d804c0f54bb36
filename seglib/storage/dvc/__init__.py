"""The layout of DVC: pins, directory hashes, listings, differences of versions."""
