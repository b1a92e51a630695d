"""What a nodule is like: size, volume, density, type, border.

Rooms: ``patch`` cuts the nodule out, ``fields`` smooths and measures distances on voxels that are
no cubes; ``diameters`` by the Fleischner rule; ``composition`` says the type; ``extent`` the
volume with its interval and the mass; ``density``; ``surface`` area and sphericity; ``margin``
how the border runs; ``wording`` says why; ``characterise`` puts them into one ``Nodule``.
"""

from imaging.character.characterise import characterise
from imaging.errors import NotCharacterised

__all__ = ["NotCharacterised", "characterise"]
