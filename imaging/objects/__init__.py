"""What Preread gives out: one file an output, each a pure function of a ``Report``.

Rooms: ``seg`` (masks as DICOM Segmentation), ``rtstruct`` (the same as contours, which
``contours`` draws, for planning) and ``sr`` (TID 1500 structured report) make data sets,
``groups`` the measurement groups of an SR; ``nodules`` and ``pancreas`` what they
say of these; ``html`` the report as a page, ``profile_chart`` the pancreas' chart in it,
``key_images`` its pictures; ``codes`` (``nodule_codes``, ``pancreas_codes``) holds the coded
concepts, ``guidance`` a guideline's category as content, ``urgent`` the document's priority,
``wording`` the sentences all of them say, ``source`` what a derived object takes from its
source images.
"""

from imaging.objects.html import render_report
from imaging.objects.key_images import render_key_image, render_slice
from imaging.objects.rtstruct import make_rtstruct
from imaging.objects.seg import make_seg
from imaging.objects.sr import make_sr

__all__ = [
    "make_rtstruct",
    "make_seg",
    "make_sr",
    "render_key_image",
    "render_report",
    "render_slice",
]
