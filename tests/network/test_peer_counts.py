"""How many images a PACS says that a study has, by C-FIND at the levels that it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ImplicitVRLittleEndian,
)
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as FIND,
)

from pacs_bridge.errors import PeerBusy
from tests.network.scripted_peer import peer_at, scp
from tests.patience import PATIENT_S


def finder(answers: Callable[[Dataset], Iterator[tuple[int, Dataset | None]]]) -> list[Any]:
    def handle(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield from answers(event.identifier)

    return [(evt.EVT_C_FIND, handle)]


def found(**values: Any) -> tuple[int, Dataset | None]:
    match = Dataset()
    for keyword, value in values.items():
        setattr(match, keyword, value)
    return 0xFF00, match


FINDER = [(FIND, [ImplicitVRLittleEndian])]


def test_where_the_pacs_omits_the_series_count_images_are_listed() -> None:
    def answers(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        if query.QueryRetrieveLevel == "SERIES":
            yield found(SeriesInstanceUID="1.1", Modality="CT")
            yield found(SeriesInstanceUID="1.2", Modality="PR")
        else:
            assert query.SeriesInstanceUID == "1.1"
            for n in range(5):
                yield found(SOPInstanceUID=f"1.1.{n}")

    with scp(finder(answers), FINDER) as port:
        assert peer_at(port).count_images("1") == 5


def test_where_the_pacs_refuses_series_level_the_study_count_is_used() -> None:
    def answers(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        if query.QueryRetrieveLevel == "STUDY":
            yield found(StudyInstanceUID="1", NumberOfStudyRelatedInstances=133)
        else:
            yield 0xA900, None

    with scp(finder(answers), FINDER) as port:
        assert peer_at(port).count_images("1") == 133


def test_a_pacs_that_gives_no_count_at_all_is_none() -> None:
    def answers(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        if query.QueryRetrieveLevel == "STUDY":
            yield found(StudyInstanceUID="1")
        else:
            yield 0xC001, None

    with scp(finder(answers), FINDER) as port:
        assert peer_at(port).count_images("1") is None


def test_a_failing_query_names_level_and_status() -> None:
    def answers(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xA700, None

    with scp(finder(answers), FINDER) as port, pytest.raises(PeerBusy, match="SERIES.*0xA700"):
        peer_at(port).count_images("1")


def test_answers_that_never_end_are_cut_off() -> None:
    def answers(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        for n in range(10_000):
            time.sleep(0.05)
            yield found(SeriesInstanceUID=f"1.{n}", Modality="CT", NumberOfSeriesRelatedInstances=1)

    with scp(finder(answers), FINDER) as port:
        began = time.monotonic()
        with pytest.raises(PeerBusy, match="still answers"):
            peer_at(port, timeout_s=0.5).count_images("1")
        assert time.monotonic() - began < PATIENT_S / 2
