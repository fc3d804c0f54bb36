"""What steps keep in memory at a time, for those who judge whether a machine has it."""

CACHED_BYTES = 4 * 2**30  # of decoded training pairs, at most
PREFETCHED_BATCHES = 8
PAIRS_AUGMENTED_AT_ONCE = 16
