"""The parts of ``benchmarks.inference``: one network, MONAI's own way and ours."""
