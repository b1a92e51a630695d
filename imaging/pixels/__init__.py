"""Files to planes of values: every transfer syntax, in several processes where that pays.

``decode`` decodes one file and rescales its frames, ``jpeg12`` reads the one syntax that
pydicom's plugins don't, ``moved`` shifts a plane within itself; ``crew`` does many files at once,
each ``helper`` in a ``process`` of its own.
"""

from imaging.pixels.crew import Decoded, Undecoded, decode_files
from imaging.pixels.decode import Plane, decode_frames

__all__ = ["Decoded", "Plane", "Undecoded", "decode_files", "decode_frames"]
