"""DICOM objects <-> values. No network, no device, no database.

Rooms: ``geometry`` (Grid) and ``volume`` (Volume, Mask, Region) say where voxels are;
``headers`` reads files, ``rules`` says what a model wants of a series, ``series`` groups and
chooses with a reason for each refusal, ``roles`` where a model takes several; ``load`` makes
the Volume; ``resample`` is the only file that speaks SimpleITK; ``lungs`` finds the lungs;
``measure`` turns a mask into numbers; ``finding`` and ``report`` are the values every output
renders; ``notices`` holds what a reader must be told, in both ``language``s; ``identity``
derives UIDs, ``image_classes`` tells images from reports; ``objects/`` has one file an output
object (SEG, SR, HTML page of the report, key images); ``phantom`` makes a lifelike chest to
show and to test with; ``errors`` draws what can go wrong.
"""

from imaging.errors import ImagingError
from imaging.finding import Finding
from imaging.geometry import Grid
from imaging.report import Report
from imaging.volume import Mask, Region, Volume

__all__ = ["Finding", "Grid", "ImagingError", "Mask", "Region", "Report", "Volume"]
