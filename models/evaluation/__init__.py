"""How good and how fast a model is, and which precision may run.

``labelled/`` reads labelled cases, ``agreement`` compares, ``estimate`` gives intervals,
``evaluate`` runs a set and ``table`` prints it. For lung nodules ``nodules`` measures a scan at
all thresholds and ``nodule_run`` a whole set, resumable; ``judging`` says what was hit, ``froc``
reads the curve, ``strata`` groups it, ``nodule_figures`` puts the figures together and
``nodule_table`` prints them; ``discrimination`` judges a hint. ``matching`` gives findings to
truths for both. ``gate`` judges a reduced precision, ``precision`` keeps what passed,
``calibration`` and ``quantise`` make int8; ``bench`` measures speed.
"""
