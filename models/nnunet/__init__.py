"""Models that nnU-Net v2 exported, run as nnU-Net's own predictor runs them.

``export`` reads the folder that nnU-Net wrote (plans, data set, a checkpoint for each fold),
``checkpoint`` its weights, ``network`` builds the architecture that the plans name, and
``segment`` runs a study. Reading, resampling and normalising are nnU-Net's own functions; the
patches go through a :class:`models.runner.Runner`, so that studies share batches.

Source: nnunetv2 2.5 to 2.8, ``nnunetv2.inference.predict_from_raw_data.nnUNetPredictor``.
"""

from models.nnunet.export import NnunetPlan, OpenedNnunet, open_nnunet
from models.nnunet.segment import segment

__all__ = ["NnunetPlan", "OpenedNnunet", "open_nnunet", "segment"]
