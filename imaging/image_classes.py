"""Which objects of a study are images, by SOP class and by modality.

A PACS counts everything that it holds of a study, our own results, presentation states and
dose reports too; a study is complete when its *images* are here.
"""

from __future__ import annotations

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_NOT_IMAGES = tuple(
    _STORAGE + root
    for root in (
        "9.",  # waveforms
        "11.",  # presentation states
        "66",  # raw data, registration, fiducials, segmentation, surface
        "67",  # real-world value mapping
        "68.",  # surface scan
        "88.",  # structured reports, key objects
        "104.",  # encapsulated documents
        "200.",  # protocols
        "481.3",  # RT structure set
        "481.4",
        "481.5",
        "481.6",
        "481.7",
        "481.8",
        "481.9",
    )
)
NON_IMAGE_MODALITIES = frozenset(
    ("AU", "DOC", "ECG", "EPS", "FID", "HD", "KO", "PLAN", "PR", "REG", "RESP", "RTPLAN")
    + ("RTRECORD", "RTSTRUCT", "RWV", "SEG", "SR")
)
"""Values of Modality (0008,0060) whose series hold no images (PS3.3 C.7.3.1.1.1)."""


def is_image_class(sop_class_uid: str) -> bool:
    """Whether objects of this storage SOP class are images (pixels of a patient)."""
    return sop_class_uid.startswith(_STORAGE) and not sop_class_uid.startswith(_NOT_IMAGES)
