"""Which label a combination of channels gets, read out of a bundle's lambda (BraTS).

Thresholded channels are 0 or 1, so a function of them voxel by voxel is a table of 2^n rows.
The lambda's syntax tree shows that it works voxel by voxel; its values on every combination
give the labels and their precedence, and are compared with what the recipe would say.
"""

from __future__ import annotations

import ast
from functools import cmp_to_key
from itertools import product

import numpy as np

from models.bundle.arguments import NotTranslatable
from models.bundle.methods import Closure

MOST_CHANNELS = 12
_PLAIN = (
    ast.Constant, ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.List, ast.Load,
    ast.operator, ast.cmpop, ast.unaryop, ast.boolop,
)  # fmt: skip

Merge = tuple[tuple[int, int], ...]


def merge_of(function: Closure, identifier: str) -> Merge:
    """(channel, label) in order of precedence.

    Raises:
        NotTranslatable: it isn't a choice between channels, voxel by voxel.
    """
    count = _channels(function, identifier)
    table = _table(function, count, identifier)

    def wins(a: int, b: int) -> int:
        both = tuple(int(n in (a, b)) for n in range(count))
        return -1 if table[both] == alone[a] else 1

    alone = {n: table[tuple(int(m == n) for m in range(count))] for n in range(count)}
    order = sorted((n for n in alone if alone[n]), key=cmp_to_key(wins))
    merge = tuple((n, alone[n]) for n in order)
    for combination, label in table.items():
        said = next((value for n, value in merge if combination[n]), 0)
        if said != label:
            raise NotTranslatable(
                identifier, f"channels {combination} make {label}, which no precedence explains"
            )
    return merge


def _channels(function: Closure, identifier: str) -> int:
    """Channels that the lambda looks at; every node of it must work voxel by voxel."""
    if len(function.parameters) != 1:
        raise NotTranslatable(identifier, "a function of several arguments")
    (name,) = function.parameters
    most = -1
    waiting: list[ast.AST] = [function.node.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Subscript):
            most = max(most, _channel(node, name, identifier))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.where":
            waiting.extend(node.args)
            if node.keywords:
                raise NotTranslatable(identifier, "torch.where with named arguments")
        elif isinstance(node, _PLAIN):
            waiting.extend(ast.iter_child_nodes(node))
        else:
            raise NotTranslatable(identifier, f"{ast.unparse(node)} may not be voxel by voxel")
    if not 0 <= most < MOST_CHANNELS:
        raise NotTranslatable(identifier, "looks at no channel, or at too many")
    return most + 1


def _channel(node: ast.Subscript, name: str, identifier: str) -> int:
    """n of ``x[[n]]``."""
    try:
        said = ast.literal_eval(node.slice) if not isinstance(node.slice, ast.Slice) else None
    except ValueError:
        said = None
    plain = isinstance(node.value, ast.Name) and node.value.id == name
    if plain and isinstance(said, list) and len(said) == 1:
        (channel,) = said
        if isinstance(channel, int) and channel >= 0:
            return channel
    raise NotTranslatable(identifier, f"{ast.unparse(node)} is not one channel")


def _table(function: Closure, count: int, identifier: str) -> dict[tuple[int, ...], int]:
    import torch

    rows = np.array(list(product((0, 1), repeat=count)), np.float32)
    result = function(torch.from_numpy(rows.T.reshape(count, -1, 1, 1).copy()))
    if not isinstance(result, torch.Tensor) or result.shape != (1, len(rows), 1, 1):
        raise NotTranslatable(identifier, "does not make one label map")
    labels = result.reshape(-1).double().numpy()
    if (labels != labels.round()).any() or labels.min() < 0 or labels.max() > 65535:
        raise NotTranslatable(identifier, "makes other values than label numbers")
    return {
        tuple(int(bit) for bit in row): int(label) for row, label in zip(rows, labels, strict=True)
    }
