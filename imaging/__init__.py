"""DICOM objects <-> values. No network, no device, no database.

Rooms: ``geometry`` (Grid) and ``volume`` (Volume, Mask, Region) say where voxels are;
``headers`` reads files (``mr_facts`` and ``weighting`` what an MR is weighted for), ``rules``
says what a model wants of a series, ``series`` groups and chooses with a reason for each
refusal, ``roles`` where a model takes several; ``load`` makes the Volume, ``coregister`` brings
several together (``agreement`` and ``block_matching`` say how well); ``resample`` speaks
SimpleITK for all; ``body``, ``lungs`` and ``brain_mask`` find these; ``measure`` turns a mask
into numbers; ``character/``, ``lobes/`` and ``pancreas/`` say more of a nodule, its place, a
gland; ``priors/`` compares dates, ``guidelines/`` decides, ``draft/`` words it; ``finding`` and
``report`` are the values every output renders (``nodule``, ``pancreatic`` and its
``pancreatic_names`` of what they carry), ``urgency`` why one is read first; ``notices`` (worded
in ``refusal_wording`` and ``warning_wording``) holds what a reader must be told, in both
``language``s;
``identity`` derives UIDs, ``image_classes`` tells images from reports; ``objects/`` has one file
an output object; ``phantom``, ``phantom_abdomen`` and ``phantom_brain`` make patients to show
and to test with; ``errors`` draws what can go wrong.
"""

from imaging.errors import ImagingError
from imaging.finding import Finding
from imaging.geometry import Grid
from imaging.report import Report
from imaging.volume import Mask, Region, Volume

__all__ = ["Finding", "Grid", "ImagingError", "Mask", "Region", "Report", "Volume"]
