"""The parts of ``benchmarks/accuracy.py``: lungs (real scans, insertions) and pancreas."""
