"""How series selection does on the words of real CT and MR series.

Needs the public index of the Imaging Data Commons (``pip install idc-index-data``, 78 MB, no
dependency here). It names every public series with its description, body part, maker and number
of images, and has no header of an image: what ImageType, geometry and kernel would decide is not
measured here, words are. Three questions:

1. Do words and the number of images agree? A scout has few images, a scan has many.
2. Do the words mean what a person takes them for? On ``series_labelled.csv``: descriptions drawn
   by chance, labelled before they were tried, by one person who is no radiologist.
3. What is chosen of whole studies? Geometry is made up from the words and the count.

``--list`` prints the descriptions behind each figure, to be looked at.

The labelled sample when it was first tried, of CT: kind 169 of 171, plane 171, contrast 161, kernel
167; of MR: kind 60 of 64. What it showed was then mended. A second draw of 230 CT descriptions
showed one wrong phase; one of 110 MR descriptions (they follow in the file) was read 95 times as
labelled: sums and slopes of two series, enhancement and diffusion maps passed for scans. That was
mended too (now 106), and two labels of the first sample with it: captures and processed copies.
So the file tells of mistakes that come back, no longer of new descriptions.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imaging.contrast import told_contrast, told_phase
from imaging.headers import ImageSlice, Scan, SeriesHeader
from imaging.kernels import Sharpness, told_sharpness
from imaging.series import SeriesPlan, choose_series
from imaging.series_words import Kind, Plane, kind_of, plane_of
from models.spec import look_up

LABELLED = Path(__file__).parent / "series_labelled.csv"
FEW, MANY = 5, 20
FEW_KINDS = (Kind.LOCALIZER, Kind.TRACKING, Kind.PAGE)
STRUCTURED = ("nlst",)
"""Collections whose descriptions are fields of a table, not a person's words."""
MODELS = ("lung_nodule_reference", "lung_nodule_ct_detection", "pancreas_ct_dints_segmentation")
AXES = {
    Plane.CORONAL: (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    Plane.SAGITTAL: (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_MM = re.compile(
    r"(?<![\d.])(\d{1,2}(?:\.\d+)?) ?mm\b|\b(\d{1,2}\.\d+)\s+[BIHTQ][a-z]?\d\d|"
    r"(?<![\d.])(\d(?:\.\d+)?) ?x ?\d|\b(\d\.\d{1,3})\b",
    re.IGNORECASE,
)
UNSAID_MM = 2.5


@dataclass(frozen=True)
class Row:
    """One series of the index."""

    collection: str
    study: str
    series: str
    modality: str
    body_part: str
    number: str
    description: str
    study_description: str
    images: int


def main() -> None:
    """Print the answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="the descriptions behind the figures")
    parser.add_argument("--studies", type=int, default=500, help="CT studies to plan (500)")
    options = parser.parse_args()
    labelled(show=options.list)
    rows = read_index()
    if rows is None:
        print("no idc-index-data here; `pip install idc-index-data` for the rest")
        return
    for modality in ("CT", "MR"):
        counted([r for r in rows if r.modality == modality], modality, show=options.list)
    planned([r for r in rows if r.modality == "CT"], options.studies, show=options.list)


def read_index() -> list[Row] | None:
    """Every CT and MR series of the index; None where the package is not installed."""
    try:
        import idc_index_data
        import pandas
    except ImportError:
        return None
    names = {
        "collection_id": "collection", "StudyInstanceUID": "study", "SeriesInstanceUID": "series",
        "Modality": "modality", "BodyPartExamined": "body_part", "SeriesNumber": "number",
        "SeriesDescription": "description", "StudyDescription": "study_description",
        "instanceCount": "images",
    }  # fmt: skip
    frame = pandas.read_parquet(idc_index_data.IDC_INDEX_PARQUET_FILEPATH, columns=list(names))
    frame = frame[frame.Modality.isin(["CT", "MR"])].rename(columns=names)
    frame["images"] = frame.images.astype(int)
    text = [name for name in names.values() if name != "images"]
    frame[text] = frame[text].fillna("").astype(str)
    return [Row(**record) for record in frame.to_dict("records")]


def labelled(*, show: bool) -> None:
    """How often words are read as a person reads them."""
    with LABELLED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    wrong: list[str] = []
    for row in rows:
        said = row["description"]
        found = {"kind": kind_of(said).value}
        if row["modality"] == "CT":
            plane, kernel = plane_of(said), told_sharpness(said)
            found["plane"] = plane.value if plane else "-"
            found["kernel"] = "-" if kernel is Sharpness.UNKNOWN else kernel.value
            found["contrast"] = _contrast(said)
        for name, value in found.items():
            key = f"{row['modality']} {name}"
            total[key] += 1
            right[key] += value == row[name]
            if value != row[name]:
                wrong.append(f"  {key}: {said!r} is {row[name]}, read as {value}")
    print(f"labelled descriptions: {len(rows)}")
    for key in sorted(total):
        print(f"  {key:14}{right[key]:4} of {total[key]}")
    if show:
        print("\n".join(wrong))


def _contrast(said: str) -> str:
    phase = told_phase(said)
    if phase is not None:
        return phase.value
    return "enhanced" if told_contrast(said, "CT") else "-"


def counted(rows: list[Row], modality: str, *, show: bool) -> None:
    """Kinds by words against the number of images, and what contradicts."""
    table: dict[Kind, Counter[str]] = defaultdict(Counter)
    odd: Counter[str] = Counter()
    for row in rows:
        kind = kind_of(row.description)
        group = "few" if row.images <= FEW else "some" if row.images <= MANY else "many"
        table[kind][group] += 1
        if kind in FEW_KINDS and group == "many":
            odd[f"{kind}: {row.description}"] += 1
        if kind is Kind.SCAN and group == "few" and row.collection not in STRUCTURED:
            odd[f"{kind}: {row.description}"] += 1
    print(f"\n{modality}: {len(rows)} series    up to {FEW} images, up to {MANY}, more")
    for kind in Kind:
        counts = table[kind]
        print(f"  {kind:14}" + "".join(f"{counts[g]:9}" for g in ("few", "some", "many")))
    if show:
        for text, count in odd.most_common(200):
            print(f"    {count:5} {text}")


def planned(rows: list[Row], most: int, *, show: bool) -> None:
    """What is chosen of studies with several series."""
    studies: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.collection not in STRUCTURED:
            studies[row.study].append(row)
    several = sorted(uid for uid, found in studies.items() if len(found) > 1)
    step = max(1, len(several) // most)
    picked = [studies[uid] for uid in several[::step]]
    print(f"\n{len(picked)} CT studies of {len(several)} with several series")
    for name in MODELS:
        spec = look_up(name)
        plans = [choose_series(_scan(found), spec.input, name) for found in picked]
        _tell(name, plans, show=show)


def _tell(name: str, plans: list[SeriesPlan], *, show: bool) -> None:
    read = [plan for plan in plans if plan.chosen is not None]
    kinds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for plan in read:
        best = next(v for v in plan.verdicts if v.accepted)
        kinds[kind_of(best.description).value] += 1
        for verdict in plan.verdicts:
            if verdict.score > 0 and not verdict.accepted:
                pairs[f"{best.description!r} before {verdict.description!r}"] += 1
    for plan in plans:
        for verdict in plan.verdicts:
            refused.update(n.code for n in verdict.notices if n.severity.value == "refusal")
    print(f"  {name}: {len(read)} read; chosen by words: {dict(kinds.most_common())}")
    print(f"    refused: {dict(refused.most_common(12))}")
    if show:
        unusual = [
            f"    chosen {v.description!r} of {[w.description for w in p.verdicts]}"
            for p in read
            for v in p.verdicts
            if v.accepted and kind_of(v.description) is not Kind.SCAN
        ]
        print("\n".join(unusual[:60]))
        for text, count in pairs.most_common(150):
            print(f"    {count:4} {text}")


def _scan(rows: list[Row]) -> Scan:
    """Headers of a study, with a geometry made up from words and counts."""
    headers = {
        row.series: SeriesHeader(
            study_uid=row.study, series_uid=row.series, modality=row.modality, number=row.number,
            description=row.description, body_part=row.body_part, kernel="", contrast="",
            study_description=row.study_description,
        )
        for row in rows
    }  # fmt: skip
    return Scan(tuple(s for row in rows for s in _slices(row)), headers, (), 0)


def _slices(row: Row) -> Iterator[ImageSlice]:
    thickness = _thickness(row.description)
    plane = plane_of(row.description)
    axes = AXES.get(plane or Plane.AXIAL, AXIAL)
    across = {Plane.CORONAL: 1, Plane.SAGITTAL: 0}.get(plane or Plane.AXIAL, 2)
    scout = kind_of(row.description) is Kind.LOCALIZER and row.images <= FEW
    for k in range(min(row.images, 600)):
        place = [0.0, 0.0, 0.0]
        place[across] = k * thickness
        yield ImageSlice(
            path=Path("-"), frame_number=None, sop_class_uid="",
            sop_instance_uid=f"{row.series}.{k}",
            study_uid=row.study, series_uid=row.series, modality=row.modality, instance_number=k,
            image_type=("ORIGINAL", "PRIMARY", "LOCALIZER" if scout else "AXIAL"),
            rows=512, columns=512, position=(place[0], place[1], place[2]), orientation=axes,
            pixel_spacing=(0.8, 0.8), slice_thickness_mm=thickness, variant=(),
        )  # fmt: skip


def _thickness(said: str) -> float:
    # some archives write every dot as an underscore: 1_5mm, B30f_3_0, 7_000
    dotted = re.sub(r"(?<=\d)_(?=\d{1,3}(?:\D|$))", ".", said)
    found = _MM.search(dotted.replace("_", " "))
    values = [float(group) for group in found.groups() if group] if found else []
    return values[0] if values and 0.3 <= values[0] <= 20 else UNSAID_MM


if __name__ == "__main__":
    sys.exit(main())
