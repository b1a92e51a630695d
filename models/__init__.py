"""Voxels -> findings, on a device. No network but Triton, no database.

Rooms: ``spec`` and ``sections`` say what a model is (``preread.toml`` read and checked,
``mistakes`` words what is wrong), ``recipe`` how voxels become its input and its output labels;
``catalog/`` holds one folder a model; ``intake/`` takes in what somebody brings; ``bundle/``
reads MONAI bundles, ``nnunet/`` nnU-Net exports; ``opening`` finds a model's networks and
``loaded`` loads them; ``runtime/`` runs a network, one file a runtime, and ``export`` writes
them for others; ``engine/`` keeps models warm and shares their batches, ``runner`` is what a
pipeline sees of it, ``splitting`` cuts a patch; ``pipeline`` is the one path from voxels to
``lesions``, by way of ``voxels/``, ``detection/``, ``lungs/`` or ``pancreas/``; ``character/``
hints at how a nodule would be rated; ``study/`` reads a study with it; ``evaluation/`` measures;
``training/`` made the reference weights; ``errors`` draws what can go wrong.
"""
