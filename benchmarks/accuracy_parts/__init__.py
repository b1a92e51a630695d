"""The parts of ``benchmarks/accuracy.py``: real scans, and simulated insertions."""
