"""The first ``preread.toml`` of a model that was brought: what it says of itself, and gaps.

What only a person can know (codes, limits, what it is for, in both languages) is left empty, and
what was guessed is named in ``to_check``; until both are mended the model can be shown and
verified, but not enabled (:func:`models.spec.check_usable`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache

from imaging.weighting import Weighting, read_words
from models.intake.brought import Brought, Said
from models.sections import Label
from models.spec import CATALOG, model_folders, read_spec

_LESION = re.compile(
    r"tumou?r|lesion|nodul|cancer|carcinom|metasta|mass\b|cyst|edema|h(?:a)?emorrhage|pdac|"
    r"infarct|stroke|core\b",
    re.IGNORECASE,
)
_DEFAULT_PATCH = (96, 96, 96)


def write_first_spec(name: str, brought: Brought, said: Said, source: str) -> str:
    """A ``preread.toml`` without its ``[files]`` and ``[sha256]`` (see :func:`with_files`).

    Args:
        name: the model's, and its folder's.
        brought: what it is.
        said: what it says of itself.
        source: the path or address it came from, for the comment at its top.
    """
    labels = said.labels or _unnamed(said)
    lines = [
        f"# {name}: made by `preread models add` from what the model says of itself.",
        f"# From {_line(source)}",
        *(f"# It says: {_line(text)}" for text in (said.description, said.intended_use) if text),
        *([f"# Licence: {_line(said.licence)}"] if said.licence else []),
        "#",
        "# A person must fill in every empty text below, and take each key that is right out of",
        "# to_check; before that the model can't be enabled. What each key means:",
        "# `preread models show lung_nodule_reference` shows a finished one.",
        f"name = {_toml(name)}",
        f"version = {_toml(said.version or '1')}",
        f"task = {_toml(said.task)}",
        f"to_check = {_toml(tuple(_guessed(brought, said, labels)))}",
        "",
        *_text_table("title", said.title or name, "what people call it, in both languages"),
        *_text_table("intended_use", said.intended_use, "what a radiologist may use it for"),
        *_text_table("limits", "", "what it misses, was not trained on, must not be used for"),
    ]
    for index, label in labels.items():
        lines += _label(index, label)
    lines += [*_inputs(said), *_network(brought, said)]
    if brought.kind in ("onnx", "torchscript"):
        lines += _recipe(said)
    lines += [
        "# Where its score becomes a finding; `preread models evaluate` shows what a value costs.",
        "[operating_point]",
        "score_threshold = 0.5",
        "",
    ]
    return "\n".join(lines)


def with_files(text: str, files: Mapping[str, str], sha256: Mapping[str, str]) -> str:
    """The text of a ``preread.toml`` with these ``[files]`` and ``[sha256]`` in place of its own.

    Everything else, comments too, stays as it was.
    """
    kept: list[str] = []
    dropping = False
    for line in text.splitlines():
        header = re.match(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}", line)
        if header:
            dropping = header[1] in ("files", "sha256")
        if not dropping:
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    for table, values in (("files", files), ("sha256", sha256)):
        kept += ["", f"[{table}]", *(f"{_key(k)} = {_toml(v)}" for k, v in sorted(values.items()))]
    return "\n".join(kept) + "\n"


def _guessed(brought: Brought, said: Said, labels: Mapping[int, str]) -> Iterator[str]:
    yield "input" if len(said.channels) < 2 else "series"
    if brought.kind in ("onnx", "torchscript"):
        yield from ("recipe.prepare", "recipe.windows", "recipe.finish")
    if brought.kind == "monai-bundle" and not said.config:
        yield "network.config"
    if any(_known(name) is not None for name in labels.values()):
        yield "labels"
    yield "operating_point.score_threshold"


def _unnamed(said: Said) -> dict[int, str]:
    """Labels of a network that names none: one for each channel but the background's."""
    return dict.fromkeys(range(1, max(said.outputs, 2)), "")


def _label(index: int, name: str) -> list[str]:
    known = _known(name)
    lesion = known.kind == "lesion" if known else bool(_LESION.search(name)) or not name
    lines = [
        "# lesion: each piece is a finding; organ: measured as a whole; ignored: not reported",
        "[[labels]]",
        f"index = {index}",
        f"kind = {_toml('lesion' if lesion else 'organ')}",
    ]
    if known is not None:
        shown = known.model_dump()
        texts = [f"{key} = {_inline(shown[key])}" for key in ("name", "code", "site")]
        return [*lines, f"# as the catalogue has it for {_line(name)}: check it", *texts, ""]
    code = '{ value = "", scheme = "SCT", meaning = { en = "", zh = "" } }'
    return [
        *lines,
        f"name = {_inline({'en': name, 'zh': ''})}",
        "# fill in: what it is, and the organ it lies in (SNOMED CT: SCT; RadLex: RADLEX)",
        f"code = {code}",
        f"site = {code}",
        "",
    ]


def _inputs(said: Said) -> list[str]:
    modality = said.modality or "CT"
    rule = [
        f"modality = {_toml(modality)}",
        "minimum_slices = 20",
        "maximum_slice_mm = 5.0",
    ]
    if len(said.channels) < 2:
        return ["# Which series it takes; check every value.", "[input]", *rule, ""]
    lines = ["# The series that it takes together, in the order of its channels."]
    for number, channel in enumerate(said.channels, start=1):
        lines += [
            "[[series]]",
            f"role = {_toml(channel or f'channel {number}')}",
            "[series.input]",
            *rule,
            "# fill in: a pattern that the series' description holds",
            f"include = {_toml(re.escape(channel))}",
            *_weighting(modality, channel),
            "",
        ]
    if modality != "MR":
        return lines
    return [
        *lines,
        "# Further series are laid over the first one, and refused where that can't be done.",
        "[registration]",
        'method = "rigid"',
        "",
    ]


def _weighting(modality: str, channel: str) -> list[str]:
    """What the channel's name says of an MR series, in the rule's own words."""
    found = read_words(channel)
    if modality != "MR" or found in (Weighting.OTHER, Weighting.UNKNOWN):
        return []
    return [f"# in place of include: weighting = {_toml(found.value)}, told from words and times"]


def _network(brought: Brought, said: Said) -> list[str]:
    lines = ["[network]", f"kind = {_toml(brought.kind)}"]
    if brought.kind == "monai-bundle" and said.config:
        lines.append(f"config = {_toml(said.config)}")
    if said.fixed:
        lines.append("fixed_patch = true")
    return [*lines, ""]


def _recipe(said: Said) -> list[str]:
    patch = said.patch if len(said.patch) == 3 else _DEFAULT_PATCH
    single = said.outputs == 1
    prepare = (
        (("kind", "orient"), ("axes", "RAS")),
        (("kind", "space"), ("spacing_mm", (1.5, 1.5, 1.5))),
        (("kind", "window"), ("low", -1000.0), ("high", 1000.0)),
    )
    lines = [
        "# How voxels become its input and its output becomes labels. All of it is a guess:",
        "# write here what its authors did.",
        "[recipe]",
        f"channels = {max(len(said.channels), 1)}",
        "",
    ]
    for step in prepare:
        lines += ["[[recipe.prepare]]", *(f"{key} = {_toml(value)}" for key, value in step), ""]
    lines += [
        "[recipe.windows]",
        f"patch = {_toml(patch)}",
        "overlap = [0.25, 0.25, 0.25]",
        "",
        "[recipe.finish]",
        f"activation = {_toml('sigmoid' if single else 'softmax')}",
        f"select = {_toml('threshold' if single else 'argmax')}",
        *(["merge = [[0, 1]]"] if single else []),
        "",
    ]
    return lines


def _known(name: str) -> Label | None:
    """The label of the shipped catalogue that goes by this name, with its code and Chinese."""
    return _catalogue_labels().get(_plain(name)) if name else None


@cache
def _catalogue_labels() -> dict[str, Label]:
    found: dict[str, Label] = {}
    for folder in model_folders().values():
        if folder.parent == CATALOG:
            for label in read_spec(folder).labels:
                if label.kind != "ignored":
                    found.setdefault(_plain(label.name.en), label)
    return found


def _plain(name: str) -> str:
    """Words in any order, case and spelling: kidney_left is Left kidney."""
    text = name.lower().replace("oesophag", "esophag").replace("tumour", "tumor")
    return " ".join(sorted(re.findall(r"[a-z0-9]+", text)))


def _text_table(name: str, english: str, hint: str) -> list[str]:
    return [f"# {hint}", f"[{name}]", f"en = {_toml(english)}", 'zh = ""', ""]


def _line(text: str) -> str:
    """For a comment: one line of what can be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _inline(values: Mapping[str, object]) -> str:
    inner = ", ".join(
        f"{key} = {_inline(value) if isinstance(value, dict) else _toml(value)}"
        for key, value in values.items()
    )
    return f"{{ {inner} }}"


def _toml(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
