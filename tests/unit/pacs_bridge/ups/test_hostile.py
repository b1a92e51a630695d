"""Whatever a request carries, it is taken or refused, and what is taken can be given back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from pacs_bridge.dicomweb.server.model import as_json, encoded
from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.ups import event
from pacs_bridge.ups.content import created, ended, updated
from pacs_bridge.ups.order import is_ours, order_of
from pacs_bridge.ups.states import UpsState
from pacs_bridge.ups.wire import dataset_of
from tests.workitems import performed, progress, workitem

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WHOLE = {**workitem().to_json_dict(), **performed().to_json_dict(), **progress(1).to_json_dict()}
TAGS = sorted({*WHOLE, "00081195", "00404034", "00741238", "00091001", "7FE00010", "XYZ"})
VRS = ["SQ", "LO", "UI", "DT", "CS", "PN", "US", "DS", "IS", "OB", "UN", "AT", "UR", "??"]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**12), st.floats(), st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*TAGS, "Alphabetic", "vr", "Value"]), inner, max_size=3),
    ),
    max_leaves=8,
)
ELEMENTS = st.fixed_dictionaries(
    {"vr": st.sampled_from(VRS)},
    optional={"Value": st.one_of(st.lists(VALUES, max_size=3), VALUES), "InlineBinary": VALUES,
              "BulkDataURI": VALUES},
)  # fmt: skip


def taken(content: bytes) -> Dataset | None:
    try:
        return dataset_of(content)
    except WorkitemRefused as error:
        assert error.status == 400
        return None


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(TAGS), st.one_of(ELEMENTS, VALUES), max_size=4))
def test_a_strange_workitem_is_refused_or_is_one_like_others(changes: dict[str, Any]) -> None:
    given = taken(json.dumps(workitem().to_json_dict() | changes).encode())
    if given is None:
        return
    try:
        held, _ = created(given, "1.2.3.4")
    except WorkitemRefused as error:
        assert error.status == 400
        return
    assert encoded([as_json(held)]) and held.to_json()
    order = order_of(held)
    assert len(order.study_uid) <= 64
    assert is_ours(held, ("PREREAD",), ("110004^DCM",)) in (True, False)
    assert all(report.to_json() for report in event.reports_of_creation(held))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(TAGS), st.one_of(ELEMENTS, VALUES), max_size=4))
def test_a_strange_update_is_refused_or_leaves_a_workitem(changes: dict[str, Any]) -> None:
    held, _ = created(workitem(), "1.2.3.4")
    given = taken(json.dumps(changes).encode())
    if given is None:
        return
    try:
        after, _ = updated(held, given)
        assert all(report.to_json() for report in event.reports_of_change(held, after))
        ended(after, UpsState.CANCELED)
        ended(after, UpsState.COMPLETED)
    except WorkitemRefused as error:
        assert error.status in (400, 409)


@given(st.binary(max_size=40))
def test_what_is_no_json_is_refused(content: bytes) -> None:
    taken(content)


@pytest.mark.parametrize(
    "text",
    [
        '{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "\\ud800"}]}}',
        '{"00100020": {"vr": "LO", "Value": ["a\\u0000b"]}}',
        '{"00741004": {"vr": "DS", "Value": [NaN]}}',
        "[" * 100_000,
    ],
)
def test_what_can_not_be_kept_is_refused(text: str) -> None:
    with pytest.raises(WorkitemRefused):
        dataset_of(text.encode())
