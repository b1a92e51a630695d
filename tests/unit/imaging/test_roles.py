"""Several series for one model: each role one series, all in one frame of reference."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from imaging.headers import scan_files
from imaging.input_rule import InputRule
from imaging.roles import choose_roles
from imaging.series import SeriesPlan, refusals
from tests.unit.imaging.synthetic import make_images, random_hu, write

HU = random_hu((12, 8, 8))


@dataclass(frozen=True)
class Role:
    role: str
    input: InputRule


def role(name: str, include: str, exclude: str = "", **more: Any) -> Role:
    rule = InputRule(modality="MR", orientation="any", include=include, exclude=exclude, **more)
    return Role(name, rule)


BRAIN = (role("FLAIR", "flair"), role("T1", "t1", r"\+c|gd"), role("T1c", r"t1.*(\+c|gd)"),
         role("T2", "t2", "flair"))  # fmt: skip


def series(name: str, *, frame: str = "1.2.3", step: float = 2.5) -> list[Dataset]:
    def change(_: int, image: Dataset) -> None:
        image.Modality = "MR"
        image.SeriesDescription = name
        image.FrameOfReferenceUID = frame

    return make_images(HU, name=f"{name} {frame} {step}", step=(0, 0, step), change=change)


def plan(folder: Path, made: list[list[Dataset]], roles: tuple[Role, ...] = BRAIN) -> SeriesPlan:
    paths = [p for n, images in enumerate(made) for p in write(folder / str(n), images)]
    return choose_roles(scan_files(paths), roles, "tumour")


def uid(images: list[Dataset]) -> str:
    return str(images[0].SeriesInstanceUID)


def test_every_role_finds_its_series_whatever_the_order(tmp_path: Path) -> None:
    made = [series("T2 FLAIR"), series("T1 axial"), series("T1 axial +C"), series("T2 tse")]
    for n, order in enumerate(itertools.permutations(made)):
        found = plan(tmp_path / str(n), list(order))
        assert list(found.roles.items()) == [
            ("FLAIR", uid(made[0])), ("T1", uid(made[1])), ("T1c", uid(made[2])),
            ("T2", uid(made[3])),
        ]  # fmt: skip
        assert found.chosen == uid(made[0])
        assert found.series_uids == tuple(uid(each) for each in made)
        assert [v.role for v in found.verdicts] == ["FLAIR", "T1", "T1c", "T2"]
        assert all(v.accepted for v in found.verdicts)
        assert refusals(found) == []


def test_a_role_that_nobody_plays_is_named_and_nothing_is_chosen(tmp_path: Path) -> None:
    found = plan(tmp_path, [series("T2 FLAIR"), series("T1 axial"), series("T2 tse")])
    assert found.chosen is None
    assert found.series_uids == ()
    (missing,) = found.notices
    assert missing.code == "missing-series-role"
    assert "T1c" in missing.text.en and "T1c" in missing.text.zh
    assert "tumour" in missing.text.en
    assert not any(v.accepted for v in found.verdicts)


def test_what_plays_no_role_is_told_why_for_each(tmp_path: Path) -> None:
    made = [series("T2 FLAIR"), series("T1 axial"), series("T1 +C"), series("T2 tse")]
    ct = make_images(HU, name="ct")
    found = plan(tmp_path, [*made, ct, series("DWI"), series("T2 tse", step=4.0)])
    told: dict[str, list[str]] = {}
    for verdict, item in refusals(found):
        told.setdefault(verdict.description, []).append(item.text.en)
    # The same reason for all roles is said once.
    assert [text for text in told["synthetic ct"] if "CT" in text] == told["synthetic ct"]
    assert len(told["synthetic ct"]) == 1
    assert [text.split(":")[0] for text in told["DWI"]] == ["as FLAIR", "as T1", "as T1c", "as T2"]
    assert told["T2 tse"] == [next(t for t in told["T2 tse"] if t.startswith("as T2: suitable"))]


def test_one_series_plays_one_role_and_the_scarce_role_gets_it(tmp_path: Path) -> None:
    """Both suit A, one suits B: A must not take B's only one, though it is the better one."""
    loose, strict = role("A", "t1"), role("B", "thin")
    thin, thick = series("T1 thin", step=1.0), series("T1 thick", step=3.0)
    for roles in ((loose, strict), (strict, loose)):
        found = plan(tmp_path / roles[0].role, [thin, thick], roles)
        assert found.roles == {"A": uid(thick), "B": uid(thin)}


def test_series_of_two_frames_of_reference_are_never_mixed(tmp_path: Path) -> None:
    first = [series("T2 FLAIR", frame="1.1"), series("T1", frame="1.1", step=1.0)]
    whole = [series(n, frame="1.2") for n in ("T2 FLAIR", "T1", "T1 +C", "T2 tse")]
    found = plan(tmp_path / "both", [*first, *whole])
    assert found.series_uids == tuple(uid(each) for each in whole)
    reasons = {v.series_uid: item.code for v, item in refusals(found)}
    assert reasons == {uid(each): "other-frame-of-reference" for each in first}
    apart = [series("T2 FLAIR", frame="1.1"), *whole[1:]]
    torn = plan(tmp_path / "torn", apart)
    assert torn.chosen is None
    assert [n.code for n in torn.notices] == ["missing-series-role"]


def test_nothing_at_all() -> None:
    found = choose_roles(scan_files([]), BRAIN, "tumour")
    assert found.chosen is None
    assert found.verdicts == ()


@pytest.mark.parametrize("frame", ["", "1.2.3"])
def test_a_missing_frame_of_reference_is_one_like_any_other(tmp_path: Path, frame: str) -> None:
    made = [series(n, frame=frame) for n in ("T2 FLAIR", "T1", "T1 +C", "T2 tse")]
    assert plan(tmp_path, made).chosen == uid(made[0])


def test_frames_are_crossed_only_when_asked_and_only_when_no_frame_is_whole(
    tmp_path: Path,
) -> None:
    whole = [series(n, frame="1.2") for n in ("T2 FLAIR", "T1", "T1 +C", "T2 tse")]
    apart = [series("T2 FLAIR", frame="1.1", step=1.0), *whole[1:]]
    paths = [p for n, made in enumerate(apart) for p in write(tmp_path / str(n), made)]
    assert choose_roles(scan_files(paths), BRAIN, "tumour").chosen is None
    found = choose_roles(scan_files(paths), BRAIN, "tumour", across_frames=True)
    assert found.series_uids == tuple(uid(each) for each in apart)
    told = {v.role: [n.code for n in v.notices] for v in found.verdicts}
    # Against the first role's frame, which the other three don't share.
    assert told == {"FLAIR": [], **dict.fromkeys(("T1", "T1c", "T2"), ["other-frame-aligned"])}
    # With a FLAIR in the frame of the others the better one elsewhere is left.
    paths += write(tmp_path / "own", whole[0])
    found = choose_roles(scan_files(paths), BRAIN, "tumour", across_frames=True)
    assert found.series_uids == tuple(uid(each) for each in whole)
    reasons = {v.series_uid: item.code for v, item in refusals(found)}
    assert reasons == {uid(apart[0]): "other-frame-of-reference"}
