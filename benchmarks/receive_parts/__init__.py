"""What `benchmarks.receive` is made of: the objects, the sender, and the receivers compared."""
