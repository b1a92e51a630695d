"""MONAI bundles as they are published, made into what the engine runs.

``open_bundle`` reads a bundle's config, checks it, and gives the network (built when a runtime
asks for it) and the plan of how it is run. Nothing of the bundle's own Python runs unless
``trust_code`` says so:

- :mod:`~models.bundle.reading`, :mod:`~models.bundle.config`: the config's files and ids;
  ``building`` makes its components, ``standins`` takes the place of what reads and writes,
  ``versions`` mends what newer MONAI says otherwise;
- :mod:`~models.bundle.expressions` (with ``evaluation``, ``methods`` and the list of allowed
  ``names``): its ``$`` expressions; :mod:`~models.bundle.trusted`: MONAI's own parser instead;
- :mod:`~models.bundle.network`, :mod:`~models.bundle.checkpoint`: network and weights;
- :mod:`~models.bundle.translate` (with ``arguments`` and ``merging``): its transforms as a
  recipe; :mod:`~models.bundle.generic`: MONAI's own transforms where no recipe says the same;
- :mod:`~models.bundle.retinanet`, :mod:`~models.bundle.vista`: the two that are neither.
"""

from __future__ import annotations

import logging
from pathlib import Path

from models.bundle.opened import OpenedBundle
from models.recipe import Recipe
from models.sections import NetworkSection

_LOG = logging.getLogger(__name__)


def open_bundle(folder: Path, section: NetworkSection, *, trust_code: bool = False) -> OpenedBundle:
    """Read a MONAI bundle.

    Args:
        folder: with ``configs/`` and ``models/``, as the model zoo publishes it.
        section: the ``network`` table of its ``preread.toml``.
        trust_code: the bundle's own Python (``scripts.*``, any ``$`` expression) may run.

    Raises:
        CodeRefused: it needs Python of its own; the message names file, key and expression.
        SpecError: something in it is missing, broken or contradicts the rest.
        RuntimeMissing: MONAI or PyTorch is not installed.
    """
    from models.bundle import generic, network, translate
    from models.bundle.arguments import NotTranslatable
    from models.bundle.config import Config

    config = Config.read(folder, section, trust_code=trust_code)
    inferer = config.target(config.role("inferer")) if config.has_role("inferer") else ""
    if inferer.endswith("Vista3dInferer"):
        from models.bundle import vista

        return vista.read(config)
    if inferer.endswith("RetinaNetInferer") or "detector" in config:
        from models.bundle import retinanet

        return retinanet.read(config)
    generic.check_evaluator(config)
    plan: Recipe | generic.MonaiPlan
    try:
        plan = translate.read_recipe(config)
        patch: tuple[int, ...] = plan.windows.patch
    except NotTranslatable as error:
        _LOG.info("%s: runs with MONAI's own transforms: %s", config.path, error)
        plan = generic.read_plan(config)
        patch = plan.windows.patch if plan.windows else ()
    if not patch or min(patch) <= 0:
        patch = network.metadata_patch(config) or (64, 64, 64)
    return OpenedBundle(network.read_network(config, patch), plan, config.metadata)


__all__ = ["OpenedBundle", "open_bundle"]
