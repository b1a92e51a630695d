"""Steps of a pipeline that read or write files: our own take their place.

Images come from DICOM and label maps go to the report, so that ``LoadImaged`` and
``SaveImaged`` have nothing to do, and no bundle reads or writes a file of its choice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LOAD = re.compile(r"(monai\.transforms\.(io\.dictionary\.)?)?LoadImage(d|D|Dict)")
_NOTHING = re.compile(
    r"(monai\.transforms\.(io\.dictionary\.|utility\.dictionary\.|post\.dictionary\.)?)?"
    r"(SaveImage|WriteFileMapping|DataStats|SaveClassification|SimulateDelay)(d|D|Dict)"
)


def is_loader(target: str) -> bool:
    """Whether a ``_target_`` reads images."""
    return bool(_LOAD.fullmatch(target))


def is_nothing(target: str) -> bool:
    """Whether a ``_target_`` only writes or prints; the data pass through it unchanged."""
    return bool(_NOTHING.fullmatch(target))


def stand_in(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """The component that is built for one that reads or writes; None: build it as it is."""
    target = raw.get("_target_")
    if not isinstance(target, str) or not (is_loader(target) or is_nothing(target)):
        return None
    first = is_loader(target) and raw.get("ensure_channel_first", False)
    kept = {key: raw[key] for key in ("keys", "_disabled_") if key in raw}
    # a step that prints or writes may name keys that another writer left out
    return kept | {
        "_target_": "EnsureChannelFirstd" if first else "Identityd",
        "allow_missing_keys": True,
    }
