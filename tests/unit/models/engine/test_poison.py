"""What may not share a batch with others' patches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.engine.poison import check_count, checked, finite_or_refused, is_finite
from models.errors import PatchRefused


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=5),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_finite_means_every_value(values: np.ndarray) -> None:
    """Sums that overflow, and infinities that cancel one another, don't deceive it."""
    assert is_finite(values) == bool(np.isfinite(values).all())


@pytest.mark.parametrize(
    "values",
    [
        np.full((1, 4, 4, 4), 3e38, np.float32),
        np.array([3e38, 3e38, -3e38, -3e38], np.float32).reshape(1, 4),
    ],
    ids=["overflowing sum", "cancelling"],
)
def test_large_values_are_finite(values: np.ndarray) -> None:
    assert checked(values) is values


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int16, np.uint8, np.bool_])
def test_numbers_become_float32(kind: type) -> None:
    patch = checked(np.ones((1, 2, 3), kind))
    assert patch.dtype == np.float32
    assert patch.sum() == 6


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        ([[1.0]], "array of numbers, not list"),
        (np.array([["a"]]), "array of numbers"),
        (np.ones((1, 2), np.complex64), "complex64"),
        (np.array([[None]]), "object"),
        (np.ones(3, np.float32), r"shape \(3,\)"),
        (np.ones((1, 1, 2, 2, 2), np.float32), r"\(1, 1, 2, 2, 2\)"),
        (np.ones((1, 0, 3), np.float32), "empty"),
        (np.array([[1.0, np.nan]]), "1 of 2 values"),
        (np.array([[np.inf, -np.inf]], np.float32), "2 of 2 values"),
        (np.array([[1e300]]), "not finite"),
    ],
)
def test_the_rest_is_refused(patch: object, told: str) -> None:
    with pytest.raises(PatchRefused, match=told) as caught:
        checked(patch)
    assert not caught.value.retryable


def test_only_the_patch_whose_output_is_not_finite_is_refused() -> None:
    outputs = (np.ones((3, 2, 4), np.float32), np.ones((3, 1), np.float32))
    outputs[0][1, 0, 2] = np.nan
    outputs[1][2] = np.inf
    first, second, third = finite_or_refused(outputs, 3, "net")
    assert isinstance(first, tuple)
    assert [part.shape for part in first] == [(2, 4), (1,)]
    assert isinstance(second, PatchRefused)
    assert isinstance(third, PatchRefused)


@pytest.mark.parametrize("shapes", [[], [(2, 3)], [(3, 1), (2, 1)], [()]])
def test_outputs_are_counted(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(PatchRefused, match=r"net: 3 patch"):
        check_count(tuple(np.ones(shape, np.float32) for shape in shapes), 3, "net")
