"""The smooth surface that runs along the best sheets, and how sure it is at each place.

First the best path through the evidence, by message passing on a grid of 5 mm cells; then a
Gaussian process through the places where a sheet was truly seen. Where none was, the process
falls back to the usual shape with the usual spread between people, and says so by its sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imaging.lobes.sheets import ACROSS_MM, Frame, Sheets
from imaging.lobes.usual import CELL_MM, THIN

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

FULL_SCORE = 3.5
"""A sheet this many noise deviations above its sides is as good as any."""
BEND, MOST_BEND = 0.03, 0.6
PASSES = 40
PRIOR_WEIGHT = 0.15
SEEN_SCORE = 1.6
"""Noise deviations from which a cell on the path counts as seen."""
RANGE_MM = 45.0
SPREADS = ((10.0, 70.0), (4.0, 22.0))
"""Standard deviation and reach, mm, of how a fissure departs from its usual shape."""
APART, AGREED_MM = 1.5, 5.0
"""How much of the two fits' difference counts as not known, and what is still one fissure."""
SEEN_NEAR_MM = 15.0
SEEN_MM = 1.5
"""How exactly a seen sheet places the fissure, mm."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A fissure as t = f(v, u) on a frame.

    Attributes:
        frame: its axes.
        t: (v, u) of the cells, mm from the frame's first plane.
        sigma: (v, u), mm.
        seen: (v, u), True where a sheet was seen at this place.
        inside: (v, u), True where the surface runs through lung.
    """

    frame: Frame
    t: Floats
    sigma: Floats
    seen: Bools
    inside: Bools

    @property
    def seen_share(self) -> float:
        """Part of the surface within the lung on which the fissure was seen."""
        n = np.count_nonzero(self.inside)
        return float(np.count_nonzero(self.seen & self.inside)) / n if n else 0.0

    def distance(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Signed distance across and its sigma, mm, of LPS points (n, 3); positive towards +t.

        Along the normal of the surface, to first order. Beyond the frame the nearest cell counts.
        """
        index = self.frame.split(points)
        v, u = index[:, 1] / THIN, index[:, 2] / THIN
        t = _sampled(self.t, v, u)
        slope_v = _sampled(np.gradient(self.t, CELL_MM, axis=0), v, u)
        slope_u = _sampled(np.gradient(self.t, CELL_MM, axis=1), v, u)
        tilt = np.sqrt(1 + slope_v**2 + slope_u**2)
        return (index[:, 0] * ACROSS_MM - t) / tilt, _sampled(self.sigma, v, u) / tilt

    def seen_near(self, point: NDArray[np.float64]) -> bool:
        """Whether the fissure was seen within 15 mm, along itself, of the place next to a point."""
        index = self.frame.split(point[None])[0]
        v, u = np.nonzero(self.seen)
        if len(v) == 0:
            return False
        away = np.hypot(v - index[1] / THIN, u - index[2] / THIN) * CELL_MM
        return bool(away.min() <= SEEN_NEAR_MM)

    @cached_property
    def fine_points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """LPS mm (n, 3) about 1.7 mm apart on the surface within the lung, and sigma (n,), mm."""
        rows, columns = self.t.shape
        v, u = np.meshgrid(
            np.arange(0, rows - 0.6, 1 / 3), np.arange(0, columns - 0.6, 1 / 3), indexing="ij"
        )
        inside = self.inside[np.rint(v).astype(int), np.rint(u).astype(int)]
        v, u = v[inside], u[inside]
        t = _sampled(self.t, v, u) / ACROSS_MM
        points = self.frame.grid.to_lps(np.stack([t, v * THIN, u * THIN], 1))
        return points, _sampled(self.sigma, v, u)


def _sampled(
    plane: NDArray[np.floating], v: NDArray[np.float64], u: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bilinear, clamped to the plane's edge."""
    v = np.clip(v, 0, plane.shape[0] - 1)
    u = np.clip(u, 0, plane.shape[1] - 1)
    a = np.minimum(v.astype(int), max(plane.shape[0] - 2, 0))
    b = np.minimum(u.astype(int), max(plane.shape[1] - 2, 0))
    p, q = v - a, u - b
    top = plane[a, b] * (1 - q) + plane[a, np.minimum(b + 1, plane.shape[1] - 1)] * q
    a = np.minimum(a + 1, plane.shape[0] - 1)
    low = plane[a, b] * (1 - q) + plane[a, np.minimum(b + 1, plane.shape[1] - 1)] * q
    result: NDArray[np.float64] = top * (1 - p) + low * p
    return result


def fit_surface(
    sheets: Sheets, frame: Frame, usual: Floats, allowed: Bools | None = None
) -> Surface:
    """Fit a fissure.

    Args:
        sheets: evidence on ``frame``.
        frame: its axes.
        usual: (v, u) of the cells: where the fissure usually runs, mm from the first plane.
        allowed: (t, v, u) of the frame, where the fissure may run; None: anywhere in the lung.
    """
    lung = sheets.lung if allowed is None else sheets.lung & allowed
    (t, sigma, seen), (other, _, _) = (_fit(score, lung, usual) for score in sheets.scores)
    apart = np.abs(t - other)
    # Two judgements of the same image that disagree: at least one follows something else.
    sigma = np.hypot(sigma, APART * apart).astype(np.float32)
    seen &= apart < AGREED_MM
    heights = np.clip(np.rint(t / ACROSS_MM).astype(int), 0, len(lung) - 1)
    v, u = np.indices(t.shape)
    return Surface(frame, t, sigma, seen, lung[:, ::THIN, ::THIN][heights, v, u])


def _fit(score: Floats, lung: Bools, usual: Floats) -> tuple[Floats, Floats, Bools]:
    """t, sigma (mm) and where a sheet was seen, (v, u), by one score."""
    score = np.where(lung, score, 0)[:, ::THIN, ::THIN]
    good = np.clip((score - 0.5) / (FULL_SCORE - 0.5), 0, 1)
    heights = (np.arange(len(good)) * ACROSS_MM).astype(np.float32)
    away = (heights[:, None, None] - usual) / np.float32(RANGE_MM / 2)
    cost = np.ascontiguousarray((PRIOR_WEIGHT * away**2 - good).transpose(1, 2, 0))
    path = _path(cost)
    v, u = np.indices(path.shape)
    seen = score[path, v, u] >= SEEN_SCORE
    seen &= _supported(seen, path)
    t = _between(score, path)
    fitted, sigma = _process(usual, t, seen)
    for _ in range(2):  # drop what lies off the surface that the rest makes
        off = np.abs(t - fitted) > 4.0
        if not (off & seen).any():
            break
        seen &= ~off
        fitted, sigma = _process(usual, t, seen)
    return fitted, sigma, seen


def _between(score: Floats, path: NDArray[np.intp]) -> Floats:
    """The path's height, mm, refined by the weight of the scores two bins around it."""
    v, u = np.indices(path.shape)
    total, weight = np.zeros(path.shape, np.float32), np.full(path.shape, 1e-3, np.float32)
    for d in (-2, -1, 0, 1, 2):
        k = np.clip(path + d, 0, len(score) - 1)
        w = score[k, v, u] ** 2
        total += w * d
        weight += w
    return ((path + total / weight) * ACROSS_MM).astype(np.float32)


def _supported(seen: Bools, path: NDArray[np.intp]) -> Bools:
    """Cells whose neighbours, at about the same height, are mostly seen as well."""
    n = np.zeros(seen.shape, int)
    wide = np.pad(seen, 2)
    high = np.pad(path, 2)
    rows, columns = seen.shape
    for a in range(5):
        for b in range(5):
            part = (slice(a, a + rows), slice(b, b + columns))
            close = np.abs(high[part] - path) <= 2 + 2 * max(abs(a - 2), abs(b - 2))
            n += wide[part] & close
    return n >= 10  # of 25, itself included


def _path(cost: Floats) -> NDArray[np.intp]:
    """The cheapest smooth surface through cost (v, u, t): min-sum message passing."""
    messages: list[Floats] = [np.zeros_like(cost) for _ in range(4)]
    for _ in range(PASSES):
        total = cost + sum(messages)
        fresh: list[Floats] = []
        for way in range(4):
            # What goes to a neighbour leaves out what came from it.
            out = _bent(total - messages[way ^ 1])
            new = np.zeros_like(cost)
            if way == 0:
                new[1:] = out[:-1]
            elif way == 1:
                new[:-1] = out[1:]
            elif way == 2:
                new[:, 1:] = out[:, :-1]
            else:
                new[:, :-1] = out[:, 1:]
            fresh.append(((new + messages[way]) / 2).astype(np.float32))
        messages = fresh
    final = cost + sum(messages)
    path: NDArray[np.intp] = final.argmin(2)
    return path


def _bent(h: Floats) -> Floats:
    """Lower envelope of h under the price of stepping to another height."""
    low = h.min(2, keepdims=True)
    out = np.minimum(h, low + np.float32(MOST_BEND))
    for d in (1, 2, 3, 4):
        price = np.float32(BEND * d * d)
        np.minimum(out[:, :, d:], h[:, :, :-d] + price, out=out[:, :, d:])
        np.minimum(out[:, :, :-d], h[:, :, d:] + price, out=out[:, :, :-d])
    result: Floats = out - low
    return result


def _process(usual: Floats, t: Floats, seen: Bools) -> tuple[Floats, Floats]:
    """Gaussian process on what departs from the usual shape: mean and sigma, (v, u), mm."""
    cells = np.argwhere(np.ones(usual.shape, bool)) * CELL_MM
    given = np.argwhere(seen)
    prior = float(np.sqrt(sum(s**2 for s, _ in SPREADS)))
    if len(given) == 0:
        return usual.copy(), np.full(usual.shape, prior, np.float32)
    given = given[:: max(len(given) // 500, 1)]
    rows = given * CELL_MM
    rest = (t - usual)[given[:, 0], given[:, 1]].astype(np.float64)
    among = _kernel(rows, rows)
    # Neighbouring cells share patches, so their errors are not independent: five count as one.
    among[np.diag_indices(len(rows))] += 5 * SEEN_MM**2
    to = _kernel(cells, rows)
    solved = np.linalg.solve(among, np.concatenate([rest[:, None], to.T], axis=1))
    mean = usual + (to @ solved[:, 0]).reshape(usual.shape)
    left = prior**2 - (to * solved[:, 1:].T).sum(1)
    sigma = np.sqrt(np.maximum(left, 0) + SEEN_MM**2).reshape(usual.shape)
    return mean.astype(np.float32), sigma.astype(np.float32)


def _kernel(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    square = ((a[:, None] - b[None]) ** 2).sum(2)
    total = np.zeros(square.shape)
    for spread, reach in SPREADS:
        total += spread**2 * np.exp(-square / (2 * reach**2))
    return total
