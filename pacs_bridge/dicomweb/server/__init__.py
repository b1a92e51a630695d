"""Our DICOMweb server (PS3.18): others search, retrieve and store over HTTP.

``app`` puts it together and ``house`` is what its routes share; ``access`` says who calls,
``media`` what they take, ``sending`` how it goes out, ``body`` reads what they send. ``held``
finds what we have: ``qido`` searches it (``query`` the question, ``search`` the answer,
``modalities`` so that none has to be looked up twice), ``wado`` and ``pictures`` give it away
(``model`` as JSON, ``files`` as DICOM, ``frames`` and ``rendered`` as pixels and pictures,
``documents`` as a page; ``reading`` opens a file, whatever is wrong with it), ``stow`` takes more
(``storing`` one object at a time). ``capabilities`` says all that to machines.

Everything is DICOM JSON; application/dicom+xml is answered with 406 (or 415), which names that.
"""

from pacs_bridge.dicomweb.server.app import create_dicomweb
from pacs_bridge.dicomweb.server.house import PATH

__all__ = ["PATH", "create_dicomweb"]
