"""Several volumes in one enhanced series are candidates of their own, with headers of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.frame_kinds import MOST_KINDS, labels
from imaging.grouping import Series, group_series, series_uid_of
from imaging.headers import ImageSlice, scan_files
from imaging.load import load_series
from imaging.series import InputRule, choose_series
from imaging.weighting import weighting_of
from tests.unit.imaging.test_arrange import CORONAL, image

RULE = InputRule(modality="MR", minimum_slices=3, maximum_slice_mm=8.0, advised_slice_mm=8.0)


def frames(kind: str, count: int = 4, **variant: str) -> list[ImageSlice]:
    return [
        replace(
            image(2.5 * k, **variant), frame_number=k + 1, image_type=("ORIGINAL", "PRIMARY", kind)
        )
        for k in range(count)
    ]


def test_single_frame_images_are_never_split() -> None:
    images = [image(2.5 * k, EchoTime=str(k % 2)) for k in range(8)]
    assert set(labels(images).values()) == {""}


def test_kinds_are_called_by_what_differs() -> None:
    t1 = frames("T1", EffectiveEchoTime="14.0000076", StackID="1")
    t2 = frames("T2", EffectiveEchoTime="108", StackID="1")
    across = [replace(f, orientation=CORONAL) for f in frames("T2", StackID="2")]
    assert sorted(labels([*t1, *t2]).values()) == ["T1, TE 14", "T2, TE 108"]
    assert sorted(labels([*t2, *across]).values()) == [
        "axial, stack 1, TE 108", "coronal, stack 2"
    ]  # fmt: skip


def test_times_and_directions_are_no_candidates() -> None:
    times = [f for n in range(20) for f in frames("M", TemporalPositionIndex=str(n))]
    shells = [f for b in ("0", "1000", "2000") for f in frames("M", DiffusionBValue=b)]
    assert set(labels(times).values()) == set(labels(shells).values()) == {""}


def test_a_map_of_many_echoes_is_one() -> None:
    echoes = [f for n in range(MOST_KINDS + 1) for f in frames("M", EffectiveEchoTime=str(9 * n))]
    assert set(labels(echoes).values()) == {""}


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_every_frame_is_in_one_candidate_whatever_the_order(data: st.DataObject) -> None:
    kinds = data.draw(
        st.lists(
            st.tuples(st.sampled_from(["T1", "T2", "M"]), st.integers(1, 5)),
            min_size=1,
            max_size=12,
        )
    )
    every = [f for kind, echo in kinds for f in frames(kind, EffectiveEchoTime=str(echo))]
    named = labels(every)
    assert named == labels(data.draw(st.permutations(every)))
    assert len(set(named.values())) <= MOST_KINDS


@pytest.fixture(scope="module")
def many(shared_data: Path) -> Path:
    """NEMA's enhanced MR: T2, T1 and enhanced T1 axial, enhanced T1 coronal, 3 frames each."""
    return shared_data / "protocol" / "enhanced_multiframe" / "nema_MR" / "BRMULTI"


def test_one_real_file_of_four_volumes(many: Path) -> None:
    found = group_series(scan_files([many]))
    assert [s.stack for s in found] == [
        "axial, stack 1, POST_CONTRAST, POST_CONTRAST, TE 14",
        "axial, stack 1, T1, PRE_CONTRAST, TE 14",
        "axial, stack 1, T2, PRE_CONTRAST, TE 108",
        "coronal, stack 2, POST_CONTRAST, POST_CONTRAST, TE 14",
    ]
    assert [s.number for s in found] == [1, 2, 3, 4]
    assert {series_uid_of(s.uid) for s in found} == {found[0].header.series_uid}
    assert len({s.uid for s in found}) == 4
    assert [bool(s.header.contrast) for s in found] == [True, False, False, True]
    for series in found:
        loaded = load_series(series)
        assert loaded.volume.voxels.shape == (3, 256, 256)
        assert not [n for n in loaded.notices if n.code == "duplicate-positions"]


def chosen(path: Path, rule: InputRule) -> Series:
    scan = scan_files([path])
    plan = choose_series(scan, rule, "a-model")
    return next(s for s in group_series(scan) if s.uid == plan.chosen)


def test_each_model_gets_the_stack_that_it_wants(many: Path) -> None:
    coronal = chosen(many, RULE.model_copy(update={"orientation": "coronal"}))
    assert coronal.stack.startswith("coronal")
    plain = chosen(many, RULE.model_copy(update={"contrast": "without"}))
    assert "PRE_CONTRAST" in plain.stack
    enhanced = chosen(many, RULE.model_copy(update={"contrast": "with"}))
    assert enhanced.stack == "axial, stack 1, POST_CONTRAST, POST_CONTRAST, TE 14"
    weightings = {s.stack: weighting_of(s.header) for s in group_series(scan_files([many]))}
    assert len(set(weightings.values())) > 1


def test_the_plan_names_the_stack(many: Path) -> None:
    plan = choose_series(scan_files([many]), RULE, "a-model")
    assert len(plan.verdicts) == 4
    assert all("[" in verdict.description for verdict in plan.verdicts)
    assert all(verdict.images == 3 for verdict in plan.verdicts)
    assert len({verdict.series_uid for verdict in plan.verdicts}) == 4


def test_a_field_map_lies_beside_its_magnitude(shared_data: Path) -> None:
    folder = shared_data / "protocol" / "enhanced_multiframe" / "dcm_qa_enh" / "Philips"
    found = group_series(scan_files([folder / "IM_0027_fMAP.dcm"]))
    assert [s.stack for s in found] == ["T1 FIELD_MAP, TE 0", "T1 M, TE 1.52"]
    assert [load_series(s).volume.voxels.shape for s in found] == [(32, 64, 64)] * 2
