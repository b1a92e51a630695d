"""Where the lobes are."""
