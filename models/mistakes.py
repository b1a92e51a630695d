"""What is wrong with a file of settings, said so that a person can mend it: key, value, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

LONGEST_VALUE = 80
"""Characters of a wrong value that are repeated in its message."""


def describe_mistakes(error: ValidationError, kind: type[BaseModel]) -> str:
    """Every mistake of a validation as ``key = value: what is wrong; what to do``.

    Args:
        error: what pydantic raised.
        kind: the model that was validated; its descriptions and its keys become the remedies.
    """
    return "; ".join(_one(problem, kind) for problem in error.errors())


def _one(problem: ErrorDetails, kind: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    *above, last = problem["loc"] or ("",)
    if problem["type"] == "extra_forbidden":
        _, classes = _walk(above, kind)
        known = [name for each in classes for name in each.model_fields]
        close = difflib.get_close_matches(str(last), known, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"the keys here are {', '.join(known)}"
        return f"{key}: no such key; {remedy}"
    field, _ = _walk(problem["loc"], kind)
    meaning = f" ({field.description})" if field and field.description else ""
    if problem["type"] == "missing":
        return f"{key} is missing: add it{meaning}"
    said = problem["msg"].removeprefix("Value error, ")
    if not key:
        return said
    value = repr(problem["input"])
    if len(value) > LONGEST_VALUE:
        value = f"{value[: LONGEST_VALUE - 4]} ..."
    return f"{key} = {value}: {said}{meaning}"


def _walk(
    path: Sequence[int | str], kind: type[BaseModel]
) -> tuple[FieldInfo | None, list[type[BaseModel]]]:
    """The field at the end of a path, and the models that its value may be."""
    field: FieldInfo | None = None
    classes = [kind]
    for part in path:
        holders = [each for each in classes if part in each.model_fields]
        if not holders:
            # A place in a list, or the tag of a union, which narrows the choice.
            field = None
            tagged = [each for each in classes if _tag(each) == part]
            classes = tagged or classes
            continue
        field = holders[0].model_fields[str(part)]
        classes = list(_models_in(field.annotation))
    return field, classes


def _tag(kind: type[BaseModel]) -> Any:
    field = kind.model_fields.get("kind")
    return field.default if field else None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
