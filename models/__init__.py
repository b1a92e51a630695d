"""Voxels -> findings, on a device. No network but Triton, no database.

Rooms: ``spec`` says what a model is (``preread.toml`` read and checked), ``catalog/`` holds
one folder a model; ``runtime/`` runs a network, one file a runtime; ``tiling`` cuts a volume
into patches and blends them back; ``nodules`` decodes what the nodule networks say;
``pipeline`` is the one path from a volume to findings; ``training/`` made the reference
weights; ``errors`` draws what can go wrong.
"""
