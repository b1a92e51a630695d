"""MONAI's own parser for a bundle whose Python is trusted (``--trust-code``)."""

from __future__ import annotations

import copy
import importlib
import sys
import threading
from pathlib import Path
from typing import Any

from models.bundle.reading import children
from models.bundle.standins import stand_in

_LOCK = threading.RLock()
_FOLDERS: list[str] = []


class TrustedParser:
    """MONAI's ``ConfigParser`` of a config. Networks are built on the CPU.

    Bundles all call their package ``scripts``: the one whose ids are being resolved is the only
    one among the modules that are found.

    Args:
        folder: the bundle's.
        values: the config's.
    """

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        from monai.bundle.config_parser import ConfigParser

        values = copy.deepcopy(values)
        _put_stand_ins(values)
        if "device" in values:
            values["device"] = "$torch.device('cpu')"
        self._folder = folder
        self._parser = ConfigParser()
        self._parser.read_config(values)

    def resolve(self, identifier: str) -> Any:
        """The value of an id, however its authors make it.

        Raises:
            Exception: whatever the bundle's own code raises.
        """
        with _LOCK:
            _only(self._folder)
            return self._parser.get_parsed_content(identifier)


def _only(folder: Path) -> None:
    """Put a bundle's folder first among the places of modules, in the place of another's."""
    for other in _FOLDERS:
        if other != str(folder):
            sys.path[:] = [place for place in sys.path if place != other]
    if str(folder) not in _FOLDERS:
        _FOLDERS.append(str(folder))
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
    for name in [key for key in sys.modules if key == "scripts" or key.startswith("scripts.")]:
        if not _comes_from(sys.modules[name], folder):
            del sys.modules[name]


def _comes_from(module: Any, folder: Path) -> bool:
    homes = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    return any(home and Path(home).is_relative_to(folder) for home in homes)


def _put_stand_ins(value: Any) -> None:
    for key, _, each in list(children("", value)):
        if isinstance(each, dict):
            value[key] = stand_in(each) or each
        if isinstance(each, (dict, list)):
            _put_stand_ins(value[key])
