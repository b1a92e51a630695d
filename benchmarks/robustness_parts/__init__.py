"""The parts of ``benchmarks/robustness.py``: what is changed in a scan, and what comes of it."""
