"""Boxes: ``detect`` runs a detector over a volume, ``boxes`` decodes its maps."""
