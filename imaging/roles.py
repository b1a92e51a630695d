"""Several series of a study for one model: FLAIR, T1, T1 with contrast, T2 ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from imaging.headers import Scan
from imaging.input_rule import InputRule
from imaging.language import Text
from imaging.notices import Notice, Severity, notice
from imaging.rules import judge
from imaging.series import Series, SeriesPlan, group_series, verdict_on
from imaging.series_rules import SeriesRule, matching
from imaging.suitability import Suitability, weigh_coverage, why_better

UNSUITED = Suitability(0.0)


class RoleRule(Protocol):
    """A role and which series can play it."""

    @property
    def role(self) -> str:
        """Its name."""

    @property
    def input(self) -> InputRule:
        """Which series it takes."""


def choose_roles(
    scan: Scan,
    roles: Sequence[RoleRule],
    model: str,
    *,
    across_frames: bool = False,
    site: Sequence[SeriesRule] = (),
) -> SeriesPlan:
    """Find a series for every role, each series in one role, all in one frame of reference.

    Positions of different frames of reference (PS3.3 C.7.4.1) can't be compared, so series
    from two of them are never stacked. As many roles as can be are filled; among equals the
    better suited series win, earlier roles first.

    Args:
        scan: the study's headers.
        roles: what the model takes.
        model: its name.
        across_frames: where no frame of reference has a series for every role, take them from
            several; whoever reads them must lay them over one another by their images.
        site: the site's rules on series.

    Returns:
        A plan whose ``roles`` names the series in the order given and whose ``chosen`` is the
        first role's; no series is chosen, and a notice names each role that is missing, when
        one is.
    """
    everything = group_series(scan)
    judged: dict[tuple[str, str], Suitability] = {}
    for role in roles:
        judged |= weigh_coverage({
            (s.uid, role.role): judge(
                s.header, s.slices, role.input, matching(site, s.header, model)
            )
            for s in everything
        })  # fmt: skip
    cast: dict[str, Series] = {}
    for frame in sorted({series.header.frame_of_reference for series in everything}):
        there = [s for s in everything if s.header.frame_of_reference == frame]
        other = _cast(there, roles, judged)
        if _worth(other, judged) > _worth(cast, judged):
            cast = other
    if across_frames and len(cast) < len(roles):
        other = _cast(everything, roles, judged)
        cast = other if len(other) > len(cast) else cast
    missing = [role.role for role in roles if role.role not in cast]
    notices = list(scan.notices)
    if everything:
        notices += [notice("missing-series-role", role=role, model=model) for role in missing]
    played = {series.uid: role for role, series in cast.items()}
    order = {role.role: place for place, role in enumerate(roles)}
    everything.sort(key=lambda s: (order.get(played.get(s.uid, ""), len(roles)), s.uid))
    chosen = {} if missing or not roles else {role.role: cast[role.role].uid for role in roles}
    return SeriesPlan(
        model=model,
        chosen=chosen[roles[0].role] if chosen else None,
        roles=chosen,
        verdicts=tuple(
            verdict_on(
                series,
                judged[series.uid, played[series.uid]] if series.uid in played else UNSUITED,
                _notices(series, roles, judged, cast),
                accepted=bool(chosen) and series.uid in played,
                role=played.get(series.uid, ""),
            )
            for series in everything
        ),
        notices=tuple(notices),
    )


def _cast(
    series: Sequence[Series], roles: Sequence[RoleRule], judged: dict[tuple[str, str], Suitability]
) -> dict[str, Series]:
    """A largest matching of roles to series, by augmenting paths, best scores tried first."""
    playing: dict[str, str] = {}
    by_uid = {each.uid: each for each in series}
    liked = {
        role.role: sorted(
            (uid for uid in by_uid if judged[uid, role.role].score > 0),
            key=lambda uid: (-judged[uid, role.role].score, uid),
        )
        for role in roles
    }

    def fill(role: str, tried: set[str]) -> bool:
        for uid in liked[role]:
            if uid in tried:
                continue
            tried.add(uid)
            if uid not in playing or fill(playing[uid], tried):
                playing[uid] = role
                return True
        return False

    for each in roles:
        fill(each.role, set())
    cast = {role: by_uid[uid] for uid, role in playing.items()}
    return {each.role: cast[each.role] for each in roles if each.role in cast}


def _worth(
    cast: dict[str, Series], judged: dict[tuple[str, str], Suitability]
) -> tuple[int, float]:
    return len(cast), sum(judged[series.uid, role].score for role, series in cast.items())


def _notices(
    series: Series,
    roles: Sequence[RoleRule],
    judged: dict[tuple[str, str], Suitability],
    cast: dict[str, Series],
) -> list[Notice]:
    """Why a series plays no role; its warnings where it plays one."""
    first = next(iter(cast.values()), None)
    for role, player in cast.items():
        if player is series:
            told = list(judged[series.uid, role].notices)
            assert first is not None
            if series.header.frame_of_reference != first.header.frame_of_reference:
                told = [*told, notice("other-frame-aligned", chosen=first.name)]
            return told
    suits = [role.role for role in roles if judged[series.uid, role.role].score > 0]
    if suits and first is not None:
        frames = {player.header.frame_of_reference for player in cast.values()}
        if series.header.frame_of_reference not in frames:
            return [notice("other-frame-of-reference", chosen=first.name)]
        # A role that it suits and nobody plays would have been given to it.
        return [
            _as(role, notice("better-series", chosen=cast[role].name, why=why_better(
                judged[cast[role].uid, role].factors, judged[series.uid, role].factors
            )))
            for role in suits
            if role in cast
        ]  # fmt: skip
    reasons = [
        (role.role, item) for role in roles for item in judged[series.uid, role.role].notices
    ]
    if len({item.text.en for _, item in reasons}) == 1:
        return [reasons[0][1]]
    return [_as(role, item) for role, item in reasons if item.severity is Severity.REFUSAL]


def _as(role: str, item: Notice) -> Notice:
    """A reason with the role that it holds for."""
    text = Text(en=f"as {role}: {item.text.en}", zh=f"作为 {role}：{item.text.zh}")
    return item.model_copy(update={"text": text})
