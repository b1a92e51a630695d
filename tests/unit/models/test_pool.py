"""The pool of nodules that training inserts."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs the monai extra")

from models.training.nodules_data import Nodule
from models.training.pool import POOL, PatchPool


def nodule(*, outlined: bool) -> Nodule:
    share = np.zeros((7, 16, 16), np.float32)
    if outlined:
        share[2:5, 5:11, 5:11] = 1
    code = np.where(share > 0, 110, 5).astype(np.uint8)
    return Nodule("n", "p", code, share, (1.0, 1.0, 1.0), 6.0, 5.0)


@pytest.mark.parametrize("seed", range(8))
def test_a_nodule_of_which_nothing_is_left_is_passed_over_from_the_first(seed: int) -> None:
    pool = PatchPool(
        [nodule(outlined=False), nodule(outlined=True)], np.array([0.8, 0.2]), (0.8, 1.25)
    )
    assert pool.draw(np.random.default_rng(seed)).inside.any()


def test_a_full_pool_grows_no_further_and_is_drawn_from() -> None:
    pool = PatchPool([nodule(outlined=True)], np.array([1.0]), (1.0, 1.01))
    rng = np.random.default_rng(0)
    first = pool.draw(rng)
    pool._kept = [first] * POOL
    drawn = [pool.draw(rng) for _ in range(20)]
    assert len(pool._kept) == POOL
    assert all(patch.diameter_mm > 0 for patch in drawn)
