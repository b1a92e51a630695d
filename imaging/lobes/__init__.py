"""Where the lobes are, and where a nodule lies among them.

Rooms: ``sides`` parts right from left lung; ``pleura`` is a lung's own surface; ``sheets`` scores
what looks like a fissure, ``surface`` fits the smooth surface through it with its sigma,
``usual`` knows where fissures usually run; ``lobemap`` puts them together and says the lobe where
it is sure, in the words of ``wording``.

No segment is told: segments have no border that CT shows.
"""

from imaging.lobes.lobemap import LobeMap, map_lobes

__all__ = ["LobeMap", "map_lobes"]
