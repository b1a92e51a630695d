"""A network in int8: post-training quantisation with NNCF, calibrated on real patches.

Weights become int8 channel by channel; the ranges of what flows between layers are taken from
the calibration patches. The result is an OpenVINO IR that only the gate
(:mod:`models.evaluation.gate`) lets into use.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from models.errors import RuntimeMissing, SpecError
from models.export import onnx_file_of
from models.runtime import Batch
from models.runtime.source import OnnxFile, Source, TorchNetwork

log = logging.getLogger(__name__)


def check_quantisable(source: Source) -> OnnxFile | TorchNetwork:
    """The source, if int8 can be made from it.

    Raises:
        SpecError: it can't.
    """
    if not isinstance(source, (OnnxFile, TorchNetwork)):
        raise SpecError(
            f"{source}: int8 is made from an ONNX file or a bundle's network; TorchScript and "
            "Triton models run as they are"
        )
    return source


def quantise(source: Source, patches: Sequence[Batch], path: Path) -> None:
    """Write a network's int8 form.

    Args:
        source: the network in float32.
        patches: calibration input, each (1, c, *spatial); at least one.
        path: the ``.xml`` to write; the ``.bin`` beside it is written too.

    Raises:
        RuntimeMissing: nncf or openvino is not installed.
        SpecError: the network can't be quantised.
        ValueError: there is no calibration patch.
    """
    network = check_quantisable(source)
    if not patches:
        raise ValueError("no patch ran, so there is nothing to calibrate with")
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise RuntimeMissing(
            f"{error.name} is not installed; `pip install 'preread[int8]'`"
        ) from error
    where = network.path if isinstance(network, OnnxFile) else network.name
    nncf.set_log_level(logging.ERROR)
    try:
        with onnx_file_of(network) as file:
            model = openvino.Core().read_model(str(file.path))
            quantised = nncf.quantize(
                model,
                nncf.Dataset(list(patches)),
                # Signed and unsigned ranges: medical networks have activations of both signs.
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(patches),
            )
            _save(openvino, quantised, path)
    except OSError as error:
        raise SpecError(
            f"{path}: can't be written ({error}); copy the model into the site's models folder"
        ) from error
    except (RuntimeMissing, SpecError):
        raise
    except Exception as error:  # NNCF's and OpenVINO's errors share no base; named here
        raise SpecError(f"{where}: cannot be quantised: {error}") from error
    log.info("%s: int8 from %d patches: %s", where, len(patches), path)


def _save(openvino: ModuleType, model: object, path: Path) -> None:
    """Both files at once in their place; ``.xml`` last, since it is what is looked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".int8-") as beside:
        made = Path(beside) / path.name
        openvino.save_model(model, str(made), compress_to_fp16=False)
        made.with_suffix(".bin").replace(path.with_suffix(".bin"))
        made.replace(path)
