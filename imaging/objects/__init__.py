"""What Preread gives out: one file an output, each a pure function of a ``Report``.

Rooms: ``seg`` (masks as DICOM Segmentation) and ``sr`` (TID 1500 structured report) make
data sets, ``groups`` the measurement groups of an SR; ``html`` the report as a page,
``key_images`` its pictures; ``codes`` holds the coded concepts, ``wording`` the sentences all
of them say, ``source`` what a derived object takes from its source images.
"""

from imaging.objects.html import render_report
from imaging.objects.key_images import render_key_image, render_slice
from imaging.objects.seg import make_seg
from imaging.objects.sr import make_sr

__all__ = ["make_seg", "make_sr", "render_key_image", "render_report", "render_slice"]
