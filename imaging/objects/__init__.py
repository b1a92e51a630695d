"""What Preread gives out: one file an output, each a pure function of a ``Report``.

Rooms: ``seg`` (masks as DICOM Segmentation), ``rtstruct`` (the same as contours, which
``contours`` draws, for planning), ``sr`` (TID 1500 structured report), ``gsps`` (outlines over
the images), ``secondary_capture`` (plain pictures, which ``captioned`` draws in a ``typeface``)
and ``encapsulated_pdf`` (``report_pdf`` of ``pdf_parts`` on ``pdf_pages``, in ``pdf_words``)
make data sets, ``groups`` the measurement groups of an SR; ``nodules`` and ``pancreas`` what
they say of these; ``html`` the report as a page, ``profile_chart`` the pancreas' chart in it,
``key_images`` its pictures; ``codes`` (``nodule_codes``, ``pancreas_codes``) holds the coded
concepts, ``guidance`` a guideline's category as content, ``urgent`` the document's priority,
``wording`` the sentences all of them say, ``source`` what a derived object takes from its
source images.
"""

from imaging.objects.encapsulated_pdf import make_encapsulated_pdf
from imaging.objects.gsps import make_gsps
from imaging.objects.html import render_report
from imaging.objects.key_images import render_key_image, render_slice
from imaging.objects.report_pdf import render_pdf
from imaging.objects.rtstruct import make_rtstruct
from imaging.objects.secondary_capture import make_secondary_captures
from imaging.objects.seg import make_seg
from imaging.objects.sr import make_sr

__all__ = [
    "make_encapsulated_pdf",
    "make_gsps",
    "make_rtstruct",
    "make_secondary_captures",
    "make_seg",
    "make_sr",
    "render_key_image",
    "render_pdf",
    "render_report",
    "render_slice",
]
