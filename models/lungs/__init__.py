"""The nodule models that ship: ``find`` is their way, ``nodules`` decodes what the networks
say, ``tiling`` cuts a volume for a dense network.
"""
