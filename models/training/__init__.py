"""How the shipped reference weights were made: runnable, seeded, on a CPU.

Needs PyTorch and SciPy (the ``monai`` extra). Nothing outside this package may import either.

====================  ================================================================
``lungs_data``        whole lungs: backgrounds to insert into, real lesions
``nodules_data``      radiologists' outlined nodules, cut out of their scans
``insertion``         puts one of the second into one of the first
``pool``              nodules made ready for insertion, used again in other orientations
``crops``             training crops and targets for the detector
``mask_crops``        training crops for the mask net
``nets``, ``losses``  the two networks; what they are asked to minimise
``loop``, ``schedule``  how every net is trained: budget, checkpoints, average, log
``detector``          trains the detector: ``python -m models.training.detector --help``
``mask``              trains the mask net: ``python -m models.training.mask --help``
``ratings``           what LIDC-IDRI's readers thought of their nodules, as features
``malignancy``        trains the malignancy hint: ``python -m models.training.malignancy --help``
``simulation``        whole lungs with several insertions, to choose and test on
``validation``        compares checkpoints: ``python -m models.training.validation --help``
``operating_point``   the threshold: ``python -m models.training.operating_point --help``
``export``            checkpoints to ONNX, with a check that both agree
``pancreas``          the same for the pancreas: a package of its own
====================  ================================================================
"""
