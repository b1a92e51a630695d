"""What an ONNX file says of itself, read without the ``onnx`` package.

Only the outermost fields of its protobuf are looked at; the graph is passed over, so a file
of any size takes no time. Runtimes differ in what they do with a file from the future: ONNX
Runtime refuses it, OpenVINO runs it by the rules it knows. Here it is refused for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from models.errors import RuntimeMissing, SpecError
from models.runtime.failures import in_short

NEWEST_OPSET = 28
"""The newest operator set of the standard (ONNX 1.23); a later one may mean other things."""

# field numbers of ModelProto and OperatorSetIdProto (onnx.proto)
_GRAPH, _OPSET_IMPORT, _DOMAIN, _VERSION = 7, 8, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_onnx_file(path: Path) -> dict[str, int]:
    """The operator sets a file uses, by domain (the standard's own is "").

    Raises:
        SpecError: it is not there, no ONNX network, or too new.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            opsets, has_graph = _outermost(file, size)
    except (OSError, ValueError) as error:
        raise SpecError(
            f"{path}: cannot be loaded as an ONNX network: {error}; export or install it again"
        ) from error
    if not has_graph or not opsets:
        raise SpecError(
            f"{path}: cannot be loaded as an ONNX network: it holds no graph; export or install "
            "it again"
        )
    if opsets.get("", 0) > NEWEST_OPSET:
        raise SpecError(
            f"{path}: uses ONNX opset {opsets['']}, newer than {NEWEST_OPSET}, the newest that "
            "is known here; export it again with an older opset (17 or 18 run everywhere)"
        )
    return opsets


def look_into(path: Path) -> Any:
    """A session on the CPU, only to ask a network's inputs and outputs.

    Raises:
        RuntimeMissing: ONNX Runtime is not installed.
        SpecError: the file is no network that it can load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissing(
            "onnxruntime is not installed; `pip install 'preread[cpu]'` to look into an ONNX file"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors share no base; named here
        raise SpecError(
            f"{path}: cannot be loaded as an ONNX network: {in_short(error)}"
        ) from error


def _outermost(file: BinaryIO, size: int) -> tuple[dict[str, int], bool]:
    opsets: dict[str, int] = {}
    has_graph = False
    for field, value in _fields(file, size, keep=_OPSET_IMPORT):
        if field == _OPSET_IMPORT and isinstance(value, bytes):
            parts = dict(_fields(BytesIO(value), len(value), keep=_DOMAIN))
            named, version = parts.get(_DOMAIN, b""), parts.get(_VERSION, 1)
            domain = named.decode(errors="replace") if isinstance(named, bytes) else ""
            if isinstance(version, int):
                opsets["" if domain == "ai.onnx" else domain] = version
        has_graph |= field == _GRAPH
    return opsets, has_graph


def _fields(file: BinaryIO, size: int, keep: int) -> Iterator[tuple[int, int | bytes]]:
    """Each field's number and value; of fields with bytes only ``keep`` is read, else the length.

    Raises:
        ValueError: it is no protobuf, or cut off.
    """
    while file.tell() < size:
        key = _varint(file)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            yield field, _varint(file)
            continue
        length = {_FIXED32: 4, _FIXED64: 8}.get(kind, -1)
        if kind == _BYTES:
            length = _varint(file)
        if length < 0:
            raise ValueError("it is no ONNX file")
        if file.tell() + length > size:
            raise ValueError("it ends too early, or is no ONNX file")
        if field == keep:
            yield field, file.read(length)
        else:
            yield field, length
            file.seek(length, 1)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it ends too early, or is no ONNX file")
