"""Data sets of DIMSE-N messages, to and from bytes; those of objects are never decoded."""

from __future__ import annotations

import zlib
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode, encode

_LONGEST = 64 << 20
"""Bytes that a deflated one may have inflated."""


def decoded_data_set(content: bytes, syntax: UID) -> Dataset:
    """Empty where nothing came.

    Raises:
        ValueError: it is inflated without end.
        Exception: what pydicom and zlib raise on garbage.
    """
    if not content:
        return Dataset()
    if syntax.is_deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflater.decompress(content, _LONGEST)
        if inflater.unconsumed_tail:
            raise ValueError(f"more than {_LONGEST} bytes when inflated")
    return decode(BytesIO(content), syntax.is_implicit_VR, syntax.is_little_endian)


def encoded_data_set(dataset: Dataset | None, syntax: UID) -> bytes:
    """Empty where there is none.

    Raises:
        ValueError: it can't be encoded.
    """
    if dataset is None:
        return b""
    content = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if content is None:
        raise ValueError(f"a data set that can't be encoded in {syntax.name}")
    return content
