"""What a pancreas and a lesion in it are like: length, parts, thickness, duct, density, contact.

Rooms: ``shape`` is a mask as a smooth shape, ``centreline`` the line along it, ``parts`` head to
tail, ``thickness`` across the line; ``ridges`` finds dark ridges and ``duct`` the chain of them
that is the main duct; ``density`` is that of the gland's own tissue; ``gland`` puts these into one
``Gland``. ``axes``, ``contact`` (degrees round a vessel) and ``lesion`` make a
``PancreaticLesion``; ``wording`` says how far each figure can be trusted. ``coverage``
says which slices can show a pancreas, ``landmarks`` finds spine, aorta and liver for ``phase``,
``motion`` tells shifted slices for ``fitness``: what a series was fit for.
"""

from imaging.errors import NotMeasured
from imaging.pancreas.gland import Anatomy, Around, anatomy_of, measure_gland
from imaging.pancreas.lesion import Unnamed, Vessels, describe_lesion

__all__ = [
    "Anatomy",
    "Around",
    "NotMeasured",
    "Unnamed",
    "Vessels",
    "anatomy_of",
    "describe_lesion",
    "measure_gland",
]
