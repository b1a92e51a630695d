"""The nodule models that ship.

``find`` is their way from a volume to lesions; ``surroundings`` hides what the detector was never
shown, ``tiling`` cuts a volume for a dense network, ``nodules`` decodes what the networks say,
``why`` shows what made a place stand out (``why_picture`` draws it) and ``healing`` fills it with
its surroundings.
"""
