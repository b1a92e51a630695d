"""Earlier examinations."""
