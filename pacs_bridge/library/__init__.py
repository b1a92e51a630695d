"""The models of a site: what is here, what comes (and is not trusted), what goes.

``library`` is the whole of it; ``download`` brings files over bad lines, ``unpack`` opens zips,
``large_files`` knows the weights that a bundle only names, ``holdings`` which files belong to a
model, ``names`` what it is called, ``staging`` how it gets its place, ``notes`` what to tell.
"""

from pacs_bridge.library.library import Library
from pacs_bridge.library.values import Added, Entry, Terms

__all__ = ["Added", "Entry", "Library", "Terms"]
