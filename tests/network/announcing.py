"""What an archive says when it has a study: Instance Availability Notification."""

from __future__ import annotations

from pydicom.dataset import Dataset

AVAILABILITY = "1.2.840.10008.5.1.4.33"


def notification(*images: Dataset) -> Dataset:
    """What an archive says when a study came in (PS3.4 table R.3.2-1)."""
    told = Dataset()
    told.ReferencedPerformedProcedureStepSequence = []
    told.StudyInstanceUID = images[0].StudyInstanceUID
    told.ReferencedSeriesSequence = []
    for image in images:
        item = Dataset()
        item.ReferencedSOPClassUID = image.SOPClassUID
        item.ReferencedSOPInstanceUID = image.SOPInstanceUID
        item.InstanceAvailability = "ONLINE"
        item.RetrieveAETitle = ["PACS", "PACS2"]
        series = Dataset()
        series.SeriesInstanceUID = image.SeriesInstanceUID
        series.ReferencedSOPSequence = [item]
        told.ReferencedSeriesSequence.append(series)
    return told
