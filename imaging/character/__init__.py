"""What a nodule is like."""
