"""`preread analyse`: the same steps on a folder or zip, without a server."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from imaging.errors import NoImages, SeriesError
from imaging.headers import Scan, scan_files
from imaging.language import Language
from imaging.notices import Notice
from imaging.report import Report
from imaging.series import refusals
from models.errors import InputRefused
from models.spec import find_spec
from models.study.plan import StudyPlan, plan_together
from models.study.priors import PriorImages
from models.study.reading import Progress
from pacs_bridge.errors import SettingsError
from pacs_bridge.priors.named import named_priors, suiting
from pacs_bridge.results import load_analysis, save_why, write_objects
from pacs_bridge.settings import Settings
from pacs_bridge.workers.engine import WarmModels
from pacs_bridge.workers.messages import StudyTask
from pacs_bridge.workers.setup import Setup
from pacs_bridge.workers.task import analyse

LARGEST_ZIP_BYTES = 20 * 2**30
"""A zip that says it unpacks to more is refused before anything is written."""


AT_ONCE = 2
"""Studies of a folder that are read at the same time: while one uses the device, the next is
loaded."""


@dataclass(frozen=True)
class Outcome:
    """What became of one study.

    Attributes:
        study_uid: StudyInstanceUID.
        plan: which series was read, and each refusal, of each model.
        report: None when no series suited; the plan says why, or ``problem``.
        files: what was written, by kind.
        seconds: how long each step took.
    """

    study_uid: str
    plan: StudyPlan
    report: Report | None
    files: dict[str, Path]
    seconds: dict[str, float]
    problem: str = ""


def analyse_path(
    path: Path,
    out: Path,
    models: WarmModels,
    *,
    priors: Sequence[Path] = (),
    language: Language = Language.EN,
    wanted: Collection[str] = (),
    progress: Progress = lambda step: None,
) -> list[Outcome]:
    """Analyse every study in a folder, zip or file, with every enabled model.

    Args:
        path: a folder (searched through), a zip, or one DICOM file.
        out: results go here; with several studies, into a folder each, named by study UID.
        models: loaded.
        priors: folders, zips or files with earlier examinations of the patient.
        language: of the text in the SR and the page.
        wanted: further objects to write, of :data:`pacs_bridge.results.OPTIONAL`.
        progress: called with the name of each step as it begins, from several threads.

    Raises:
        NoImages: there is no DICOM image in it, or in one of ``priors``.
        SeriesError: the chosen series makes no volume (of the only study; of one among
            several it is that study's ``problem``).
        InputRefused: the series is not what the model is for (likewise).
        InferenceFailed: a network could not be run.
    """
    with ExitStack() as unpacked:
        files = unpacked.enter_context(files_at(path))
        named = [
            each
            for where in priors
            for each in named_priors(unpacked.enter_context(files_at(where)), where)
        ]
        progress("read headers")
        scan = scan_files(files)
        if not scan.slices:
            held = f"{len(files)} file(s), {scan.other_objects} of them DICOM without pixels"
            told = "".join(f"; {n.text.en}" for n in scan.notices)
            raise NoImages(
                f"{path}: no DICOM images in it ({held}{told}). Give the folder that holds the "
                "images of a study"
            )
        studies = sorted({image.study_uid for image in scan.slices})
        specs = [models.spec(name) for name in models.enabled]

        def one(study_uid: str) -> Outcome:
            part = one_study(scan, study_uid)
            plan = plan_together(part, specs)
            folder = out if len(studies) == 1 else out / study_uid
            try:
                earlier = suiting(named, part)
                return _analyse_one(
                    part, plan, study_uid, folder, models, earlier, language, wanted, progress
                )
            except (SeriesError, InputRefused) as error:
                if len(studies) == 1:
                    raise
                # What is wrong with one study says nothing of the next.
                return Outcome(study_uid, plan, None, {}, {}, str(error))

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="study") as readers:
            return list(readers.map(one, studies))


def mapped(settings: Settings) -> tuple[str, ...]:
    """The enabled models that have a research map.

    Raises:
        SpecError: one of them can't be used.
        SettingsError: none of them has one.
    """
    folders, enabled = settings.model_folders, settings.models.enabled
    specs = [find_spec(name, folders) for name in enabled]
    found = tuple(spec.name for spec in specs if spec.has_research_map)
    if not found:
        raise SettingsError(
            f"--research: none of the models that read ({', '.join(enabled) or 'none'}) has a "
            "research map; leave it out, or name one that has with --model, e.g. "
            "pancreas_reference"
        )
    return found


@contextmanager
def open_models(settings: Settings) -> Iterator[WarmModels]:
    """The enabled models, loaded, in this process.

    Raises:
        ModelError: one of them can't be used.
    """
    setup = Setup.of(settings.with_models(shadow=()), "analyse", settings.models.device)
    models = WarmModels(setup)
    try:
        for error in models.load().values():
            raise error
        yield models
    finally:
        models.close()


def _analyse_one(
    scan: Scan,
    plan: StudyPlan,
    study_uid: str,
    out: Path,
    models: WarmModels,
    earlier: tuple[list[PriorImages], list[Notice]],
    language: Language,
    wanted: Collection[str],
    progress: Progress,
) -> Outcome:
    if plan.chosen is None:
        return Outcome(study_uid, plan, None, {}, {})
    with tempfile.TemporaryDirectory(prefix="preread-") as work:
        kept = Path(work)
        priors, told = earlier
        task = StudyTask(study_uid, 1, (), kept, models.enabled, give_up=True, priors=tuple(priors))
        reading = analyse(scan, plan, task, models, progress)
        warnings = (*reading.report.warnings, *told)
        report = reading.report.model_copy(update={"warnings": warnings})
        progress("write")
        made = write_objects(
            kept / "objects", report, load_analysis(kept), language=language, wanted=wanted
        )
        out.mkdir(parents=True, exist_ok=True)
        files_out = {kind: out / file.name for kind, file in made.items()}
        for kind, file in made.items():
            files_out[kind].write_bytes(file.read_bytes())
        save_why(out, reading.why)
        if reading.why:
            files_out["why"] = out / "why"
    return Outcome(study_uid, plan, report, files_out, reading.seconds)


def explain(plan: StudyPlan, language: Language = Language.EN) -> str:
    """Why no series was read, one line a series and model."""
    lines = []
    several = len(plan.plans) > 1
    for one in plan.plans:
        model = f"{one.model}: " if several else ""
        for verdict, item in refusals(one):
            lines.append(
                f"{model}series {verdict.name} ({verdict.images} images): {item.text.in_(language)}"
            )
        lines += [model + item.text.in_(language) for item in one.notices]
    return "\n".join(lines)


def one_study(scan: Scan, study_uid: str) -> Scan:
    """One study of the scan; what was told of files belongs to every study."""
    return replace(scan, slices=tuple(s for s in scan.slices if s.study_uid == study_uid))


@contextmanager
def files_at(path: Path) -> Iterator[list[Path]]:
    """The files below a path; a zip is unpacked for as long as the block runs."""
    if path.is_dir():
        yield sorted(p for p in path.rglob("*") if p.is_file())
    elif not path.exists():
        raise NoImages(f"{path}: no such file or folder")
    elif zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="preread-zip-") as folder:
            _unpack(path, Path(folder))
            yield sorted(p for p in Path(folder).rglob("*") if p.is_file())
    else:
        yield [path]


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > LARGEST_ZIP_BYTES:
                raise SeriesError(
                    f"{path}: unpacks to {size / 2**30:.0f} GB, more than "
                    f"{LARGEST_ZIP_BYTES / 2**30:.0f}; unpack it and give the study's folder"
                )
            # Names in a zip can point outside the folder; number the files instead.
            for number, entry in enumerate(e for e in archive.infolist() if not e.is_dir()):
                target = folder / f"{number:06d}_{Path(entry.filename).name[-80:]}"
                target.write_bytes(archive.read(entry))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise SeriesError(f"{path}: the zip can't be unpacked: {error}") from error
