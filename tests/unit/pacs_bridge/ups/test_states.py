"""The state machine, held against table CC.1.1-2 of PS3.4 cell by cell."""

from __future__ import annotations

import pytest

from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.ups.states import UpsState, change, may_update

OWNER = "1.2.3.4"
SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = UpsState
# wanted, with the right Transaction UID: by state, the DIMSE status; 0: done
TABLE = [
    (IN_PROGRESS, True, (0, 0xC302, 0xC300, 0xC300)),
    (IN_PROGRESS, False, (0, 0xC301, 0xC301, 0xC301)),
    (SCHEDULED, True, (0xC303, 0xC303, 0xC303, 0xC303)),
    (COMPLETED, True, (0xC310, 0, 0xB306, 0xC300)),
    (COMPLETED, False, (0xC310, 0xC301, 0xC301, 0xC301)),
    (CANCELED, True, (0xC310, 0, 0xC300, 0xB304)),
    (CANCELED, False, (0xC310, 0xC301, 0xC301, 0xC301)),
]
STATES = (SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED)
HTTP = {0xC300: 409, 0xC301: 400, 0xC302: 409, 0xC303: 409, 0xC310: 409}
WARNINGS = {
    0xB304: "The UPS is already in the requested state of CANCELED.",
    0xB306: "The UPS is already in the requested state of COMPLETED.",
}


@pytest.mark.parametrize(("wanted", "right", "row"), TABLE)
def test_each_cell_of_the_table(wanted: UpsState, right: bool, row: tuple[int, ...]) -> None:
    for held, status in zip(STATES, row, strict=True):
        given = OWNER if right else "9.9"
        if status in (0, *WARNINGS):
            assert change(held, OWNER, wanted, given) == WARNINGS.get(status, "")
            continue
        with pytest.raises(WorkitemRefused) as refused:
            change(held, OWNER, wanted, given)
        assert (refused.value.code, refused.value.status) == (status, HTTP[status]), held


@pytest.mark.parametrize("wanted", [IN_PROGRESS, COMPLETED, CANCELED])
@pytest.mark.parametrize("held", STATES)
def test_without_a_transaction_uid_nothing_changes(held: UpsState, wanted: UpsState) -> None:
    with pytest.raises(WorkitemRefused) as refused:
        change(held, OWNER, wanted, "")
    assert refused.value.status == 400
    assert refused.value.warning == "The Transaction UID is missing."


def test_a_state_that_is_none_is_a_bad_request() -> None:
    with pytest.raises(WorkitemRefused) as refused:
        change(IN_PROGRESS, OWNER, "DONE", OWNER)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("held", "given", "status"),
    [
        (SCHEDULED, "", 0),
        (SCHEDULED, OWNER, 409),
        (IN_PROGRESS, OWNER, 0),
        (IN_PROGRESS, "", 400),
        (IN_PROGRESS, "9.9", 400),
        (COMPLETED, OWNER, 400),
        (CANCELED, "", 400),
    ],
)
def test_who_may_update_when(held: UpsState, given: str, status: int) -> None:
    if not status:
        may_update(held, OWNER, given)
        return
    with pytest.raises(WorkitemRefused) as refused:
        may_update(held, OWNER, given)
    assert refused.value.status == status
