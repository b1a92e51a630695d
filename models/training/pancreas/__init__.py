"""How the pancreas reference weights were made: runnable, seeded, on a CPU.

=====================  ================================================================
``data``               NIH Pancreas-CT slices with the outlined gland; who is held back
``chest``              chest slices, where nothing is to be found
``appearance``         phase, dose, scanner and posture imitated; the organ's crops
``disease``            tumours, cysts and wide ducts drawn into a gland: they belong to it
``unet``               the shape of both nets
``net``                the organ net
``organ``              trains it: ``python -m models.training.pancreas.organ --help``
``validation``         Dice by patient of a checkpoint
``export``             checkpoints to ``organ.onnx``
``lesions``            dark lesions drawn into a gland, for the map of where to look
``lesion_crops``       training crops for it
``heat_net``           the map's net
``heat``               trains it: ``python -m models.training.pancreas.heat --help``
``lesion_validation``  the learned map beside plain scores
``heat_export``        checkpoint to ``heat.onnx``
=====================  ================================================================
"""
