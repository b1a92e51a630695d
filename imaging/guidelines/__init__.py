"""Guidelines as pure functions."""
