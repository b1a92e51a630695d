"""The pancreas along its centre line as a small chart (SVG): thickness and duct in mm.

It needs no script, no font and no style sheet; lines of text carry their ``lang``, so that a page
in both languages can show one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup

from imaging.language import Language, Text
from imaging.pancreatic import Part, ProfilePoint
from imaging.pancreatic_names import PARTS

_WIDTH, _HEIGHT = 640, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 628, 26, 172
_THICKNESS: Final = "#3d8fc4"
_DUCT: Final = "#cf7f17"
_TITLE = Text(
    en="Thickness of the pancreas and width of its duct along the centre line",
    zh="胰腺厚度与主胰管宽度（沿中心线）",
)
_ALONG = Text(en="along the gland from the head, mm", zh="自胰头沿胰腺长轴，mm")
_LEGEND = (
    (_THICKNESS, Text(en="thickness, mm", zh="厚度，mm")),
    (_DUCT, Text(en="duct, mm (a gap: not seen)", zh="主胰管，mm（空缺：未显示）")),
)


def profile_chart(profile: Sequence[ProfilePoint], language: Language | None = None) -> Markup:
    """The chart; empty where there are fewer than two points.

    Args:
        profile: in the order of the centre line.
        language: of the words; None: both, each with its ``lang``.
    """
    if len(profile) < 2:
        return Markup("")
    languages = tuple(Language) if language is None else (language,)
    first, last = profile[0].along_mm, profile[-1].along_mm
    highest = max(
        [*(p.thickness_mm for p in profile), *(p.duct_mm for p in profile if p.duct_mm is not None)]
    )
    top = max(10.0, math.ceil(highest / 10) * 10.0)

    def x(along_mm: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (along_mm - first) / max(last - first, 1e-6)

    def y(mm: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * mm / top

    parts: list[str] = [Markup("<title>{}</title>").format(_joined(_TITLE, languages))]
    for n, (part, begin, end) in enumerate(_stretches(profile)):
        if n % 2 == 0:
            parts.append(_band(x(begin), x(end)))
        if x(end) - x(begin) > 24:
            parts += _words(PARTS[part], languages, (x(begin) + x(end)) / 2, _TOP - 8)
    for mm in _ticks(top):
        parts.append(_line(_LEFT, y(mm), _RIGHT, y(mm)))
        parts.append(_number(mm, _LEFT - 6, y(mm) + 4, "end"))
    for along in _ticks(last - first):
        parts.append(_number(along, x(first + along), _BOTTOM + 15, "middle"))
    parts.append(_path([[(x(p.along_mm), y(p.thickness_mm)) for p in profile]], _THICKNESS))
    seen = [
        [(x(p.along_mm), y(p.duct_mm)) for p in run if p.duct_mm is not None]
        for run in _runs(profile)
    ]
    parts.append(_path(seen, _DUCT))
    parts += _words(_ALONG, languages, (_LEFT + _RIGHT) / 2, _BOTTOM + 34)
    for n, (colour, text) in enumerate(_LEGEND):
        at = _LEFT + 8 + 150 * n
        parts.append(_path([[(at, _TOP + 12), (at + 18, _TOP + 12)]], colour))
        parts += _words(text, languages, at + 24, _TOP + 16, "start")
    return Markup(
        '<svg class="profile" viewBox="0 0 {} {}" width="100%" role="img" font-size="11" '
        'fill="currentColor" data-points="{}">{}</svg>'
    ).format(_WIDTH, _HEIGHT, len(profile), Markup("").join(parts))


def _stretches(profile: Sequence[ProfilePoint]) -> list[tuple[Part, float, float]]:
    """Each part with the stretch of the line it takes."""
    made: list[tuple[Part, float, float]] = []
    for point in profile:
        if made and made[-1][0] is point.part:
            made[-1] = (point.part, made[-1][1], point.along_mm)
        else:
            begin = made[-1][2] if made else point.along_mm
            made.append((point.part, begin, point.along_mm))
    return made


def _runs(profile: Iterable[ProfilePoint]) -> list[list[ProfilePoint]]:
    """Neighbouring points at which a duct was seen."""
    runs: list[list[ProfilePoint]] = [[]]
    for point in profile:
        if point.duct_mm is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _ticks(most: float) -> list[float]:
    step = next(s for s in (5, 10, 20, 50, 100, 1000) if most / s <= 8)
    return [float(step * n) for n in range(int(most // step) + 1)]


def _joined(text: Text, languages: Sequence[Language]) -> str:
    return " · ".join(text.in_(language) for language in languages)


def _words(
    text: Text, languages: Sequence[Language], x: float, y: float, anchor: str = "middle"
) -> list[Markup]:
    return [
        Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" lang="{}">{}</text>').format(
            x, y, anchor, language.value, text.in_(language)
        )
        for language in languages
    ]


def _number(value: float, x: float, y: float, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" opacity=".75">{:g}</text>').format(
        x, y, anchor, value
    )


def _line(x0: float, y0: float, x1: float, y1: float) -> Markup:
    return Markup(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="currentColor" '
        'stroke-opacity=".18"/>'
    ).format(x0, y0, x1, y1)


def _band(x0: float, x1: float) -> Markup:
    return Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="{}" fill-opacity=".07"/>').format(
        x0, _TOP, x1 - x0, _BOTTOM - _TOP
    )


def _path(runs: Sequence[Sequence[tuple[float, float]]], colour: str) -> Markup:
    """One line a run; a single point as a dot."""
    drawn = " ".join(
        "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in (run if len(run) > 1 else [*run, *run]))
        for run in runs
        if run
    )
    return Markup(
        '<path d="{}" fill="none" stroke="{}" stroke-width="2.2" stroke-linecap="round" '
        'stroke-linejoin="round"/>'
    ).format(drawn, colour)
