"""A recipe run in numpy: volumes to a network's input, and its output to labels.

``together`` brings several series onto one grid and labels back; ``frames`` turns volumes to
MONAI's axes and back; ``prepare`` is the way in (``interpolation``,
``sampling`` and ``shear`` do the resampling, ``trail`` remembers the way back); ``windows`` cuts
and ``blend`` puts together; ``finish`` and ``selection`` make labels (``labelmap``) of it;
``segmentation`` is the whole way, ``prompts`` the way of a network asked for classes;
``structures`` turns labels into findings.
"""
