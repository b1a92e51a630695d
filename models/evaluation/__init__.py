"""How good and how fast a model is, and which precision may run.

``labelled/`` reads labelled cases, ``agreement`` compares, ``estimate`` gives intervals,
``evaluate`` runs a set and ``table`` prints it. For lung nodules ``nodules`` measures a scan at
all thresholds, ``nodule_run`` a whole set, resumable, ``froc`` reads the curve, ``strata`` groups
it and ``nodule_table`` prints it; ``discrimination`` judges a hint. ``gate`` judges a reduced
precision, ``precision`` keeps what passed, ``calibration`` and ``quantise`` make int8; ``bench``
measures speed.
"""
