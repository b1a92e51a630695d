"""Our DICOMweb server (PS3.18): others search, retrieve and store over HTTP.

``app`` puts it together and ``house`` is what its routes share; ``access`` says who calls,
``media`` what they take and how it is sent, ``body`` reads what they send. ``held`` finds what
we have: ``qido`` searches it (``query`` the question, ``search`` the answer), ``wado`` and
``pictures`` give it away (``model`` as JSON, ``files`` as DICOM, ``frames`` and ``rendered`` as
pixels and pictures; ``reading`` opens a file, whatever is wrong with it), ``stow`` takes more
(``storing`` one object at a time).
"""

from pacs_bridge.dicomweb.server.app import create_dicomweb
from pacs_bridge.dicomweb.server.house import PATH

__all__ = ["PATH", "create_dicomweb"]
