"""DICOM objects <-> values. No network, no device, no database.

Rooms: ``geometry`` (Grid) and ``volume`` (Volume, Mask, Region) say where voxels are;
``headers`` reads files into ``image_slice`` values (``undeclared`` reads text without a character
set, ``mr_facts`` and ``weighting`` what an MR is weighted for), ``grouping`` puts them into series
(``frame_kinds``: into the volumes of an enhanced one), ``input_rule`` says what a model wants
of a series, ``rules`` what is wrong with one, ``suitability`` how well it suits (``planes`` says
how its images lie, ``series_words``, ``contrast`` and ``kernels`` read what its header says,
``series_rules`` are a site's exceptions, ``patterns`` what people write into both kinds of rules),
``series`` chooses with a reason for each refusal (``continuation``: what goes on in another
series), ``roles`` where a model takes several; ``wholeness`` sees slices that are still missing;
``load`` makes the Volume: ``stacks`` takes one of several that lie in one place, ``arrange`` orders
it (``spacing``: even, with gaps, uneven), ``pixels/`` decodes; ``coregister`` brings several
together (``agreement`` and ``block_matching`` say how well); ``resample`` speaks SimpleITK for all;
``body``, ``lungs`` and ``brain_mask`` find these; ``measure`` turns a mask into numbers;
``character/``, ``lobes/`` and ``pancreas/`` say more of a nodule, its place, a
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
