"""How good and how fast a model is, and which precision may run.

``labelled/`` reads labelled cases, ``agreement`` compares, ``estimate`` gives intervals,
``evaluate`` runs a set and ``table`` prints it; ``gate`` judges a reduced precision,
``precision`` keeps what passed, ``calibration`` and ``quantise`` make int8; ``bench`` measures
speed.
"""
