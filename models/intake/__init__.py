"""A model that somebody brings: ``brought`` recognises it, ``first_spec`` describes it,
``installation`` keeps who put it here and whose code is trusted, ``trial`` runs one patch,
``zoo`` knows MONAI's addresses.
"""
