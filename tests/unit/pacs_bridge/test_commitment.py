"""The data sets of storage commitment: what goes out comes back, what is none is refused."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from pacs_bridge.dimse.commitment import (
    ALL_COMMITTED,
    SOME_FAILED,
    CommitmentResult,
    Failure,
    Reference,
    read_request,
    read_result,
    request_dataset,
    result_event,
)

uids = st.lists(st.integers(0, 10**12), min_size=1, max_size=4).map(
    lambda parts: "1.2." + ".".join(map(str, parts))
)
references = st.builds(Reference, uids, uids)
failures = st.builds(Failure, references, st.integers(1, 0xFFFF))


def over_the_wire(dataset: Dataset, implicit: bool) -> Dataset:
    encoded = encode(dataset, implicit, True)
    assert encoded is not None
    return decode(BytesIO(encoded), implicit, True)


@given(uids, st.lists(references, min_size=1, max_size=5), st.booleans())
def test_a_request_comes_as_it_was_meant(
    transaction: str, objects: list[Reference], implicit: bool
) -> None:
    read = read_request(over_the_wire(request_dataset(transaction, objects), implicit))
    assert read == (transaction, tuple(objects))


@given(uids, st.lists(references, max_size=3), st.lists(failures, max_size=3), st.booleans())
def test_a_report_comes_as_it_was_meant(
    transaction: str, good: list[Reference], bad: list[Failure], implicit: bool
) -> None:
    result = CommitmentResult(transaction, tuple(good), tuple(bad))
    event = result_event(result, lambda status: None)
    assert event.number == (SOME_FAILED if bad else ALL_COMMITTED)
    assert event.dataset is not None
    assert read_result(over_the_wire(event.dataset, implicit)) == result


def test_what_is_no_list_of_references_is_refused() -> None:
    dataset = request_dataset("1.2.5", [Reference("1.2.3", "1.2.4")])
    dataset["ReferencedSOPSequence"] = DataElement("ReferencedSOPSequence", "LO", "all of them")
    with pytest.raises(ValueError, match="ReferencedSOPSequence is no sequence"):
        read_request(dataset)
    with pytest.raises(ValueError, match="ReferencedSOPSequence is no sequence"):
        read_result(dataset)
    with pytest.raises(ValueError, match="TransactionUID = '' is no UID"):
        read_result(Dataset())


def test_a_report_that_leaves_something_out_is_understood() -> None:
    """Archives leave out the SOP class, or why an object failed."""
    dataset = Dataset()
    dataset.TransactionUID = "1.2.5"
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.4"
    dataset.FailedSOPSequence = [item]
    assert read_result(dataset).failed == (Failure(Reference("", "1.2.4"), 0x0110),)
    assert read_result(dataset).failed[0].why == "processing failure there"
    assert Failure(Reference("", "1.2.4"), 0x0111).why == "failure reason 0x0111"
