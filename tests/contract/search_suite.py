"""What the store promises of the modalities that a search wants, on either database."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from pacs_bridge.dicomweb.server.modalities import Modalities
from pacs_bridge.store import Instance, Store, Study


class SearchSuite:
    """Mixed into a class that has the fixture ``store``."""

    def test_modalities_are_those_of_the_series_that_came(
        self, store: Store, tmp_path: Path
    ) -> None:
        modalities = Modalities(store)
        assert modalities.of_studies() == {} and modalities.of("1.2.90") == {}
        _arrive(store, tmp_path, "1.2.90", "1.2.90.1", "CT")
        _arrive(store, tmp_path, "1.2.91", "1.2.91.1", "MR")
        assert modalities.of("1.2.90") == {"1.2.90.1": "CT"}
        (tmp_path / "1.2.90.1.dcm").unlink()  # not opened again
        _arrive(store, tmp_path, "1.2.90", "1.2.90.2", "SR")
        expected = {
            "1.2.90": {"1.2.90.1": "CT", "1.2.90.2": "SR"}, "1.2.91": {"1.2.91.1": "MR"}
        }  # fmt: skip
        assert modalities.of_studies() == expected
        for path in tmp_path.glob("*.dcm"):
            path.unlink()
        assert Modalities(store).of_studies() == expected

    def test_what_cannot_be_read_has_no_modality(self, store: Store) -> None:
        instance = Instance(
            "1.2.92", "1.2.92.1", "1.2.92.1.1", CTImageStorage, Path("/no"), "a", 1, ""
        )
        store.record_instance(instance, Study("1.2.92"))
        assert Modalities(store).of("1.2.92") == {"1.2.92.1": ""}


def _arrive(store: Store, folder: Path, study_uid: str, series_uid: str, modality: str) -> None:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"{series_uid}.1"
    image.StudyInstanceUID, image.SeriesInstanceUID = study_uid, series_uid
    image.Modality = modality
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{series_uid}.dcm"
    image.save_as(path, enforce_file_format=True)
    instance = Instance(
        study_uid, series_uid, image.SOPInstanceUID, CTImageStorage, path, "a", 1, ""
    )
    store.record_instance(instance, Study(study_uid))
