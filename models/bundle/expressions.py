"""``$`` expressions of a MONAI config, evaluated without running Python of anybody's own.

An expression is parsed to a syntax tree, every node of it is checked, and the tree is walked
here: nothing is handed to ``eval``. What an expression may do:

- arithmetic, comparisons, conditions, displays, comprehensions, lambdas, subscripts, strings;
- references ``@id`` to other parts of the config;
- calls of the names in :mod:`models.bundle.names`, of a few builtins, and of the methods
  listed here on plain data, tensors and networks.

Attributes with a leading underscore, modules as values, ``getattr``, ``str.format`` with
attributes and sizes that would fill the memory are refused. Anything else raises
:class:`~models.bundle.methods.Refused`, which the config turns into a ``CodeRefused``
with the file and the key.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from models.bundle import methods, names
from models.bundle.evaluation import BINARY, COMPARE, UNARY, Walk, metadata_path
from models.bundle.methods import Refused

LONGEST = 20_000
"""Characters of an expression."""
_REFERENCE = re.compile(r"@(\w+(?:(?:::|#)\w+)*)")
_PLACE = "__reference_{}"
_ALLOWED_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.BinOp,
    ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.List, ast.Tuple, ast.Set, ast.Dict,
    ast.Starred, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension,
    ast.Lambda, ast.arguments, ast.arg, ast.Call, ast.keyword, ast.JoinedStr,
    ast.FormattedValue, ast.expr_context, ast.boolop, *COMPARE, *BINARY, *UNARY,
)  # fmt: skip


class Expression:
    """One checked expression.

    Args:
        text: without the leading ``$``.
        imports: what the config's ``$import`` lines bind, name -> dotted module or object.
        served: names whose place is taken by functions of our own (``torch.load``).
        metadata: answers ``json.loads(pathlib.Path(path).read_text())`` for that path.

    Raises:
        Refused: it isn't Python, or wants something that isn't allowed.
    """

    def __init__(
        self,
        text: str,
        imports: Mapping[str, str],
        served: Mapping[str, Any],
        metadata: Callable[[Any], Any],
    ) -> None:
        if len(text) > LONGEST:
            raise Refused(f"longer than {LONGEST} characters")
        self.references: dict[str, str] = {}
        self.imports = imports
        self.served = served
        self.metadata = metadata
        source = _REFERENCE.sub(self._place, text.strip())
        try:
            self.body = ast.parse(source, mode="eval").body
            self._locals = _bound(self.body)
            self._check(self.body)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Refused(f"not a Python expression ({error})") from None

    def evaluate(self, resolve: Callable[[str], Any]) -> Any:
        """Its value; ``resolve`` gives that of a reference.

        Raises:
            Refused: a value turns out to be something that isn't allowed here.
            Exception: what the evaluation itself raises (a missing key, a wrong argument).
        """
        return Walk(self, resolve, {}).value(self.body)

    def _place(self, match: re.Match[str]) -> str:
        name = _PLACE.format(len(self.references))
        self.references[name] = match[1].replace("#", "::")
        return name

    def _check(self, tree: ast.expr) -> None:
        """Every node, also those of branches that will not be taken and of lambdas."""
        clash = self._locals & set(self.imports)
        if clash:
            raise Refused(f"{min(clash)} is a module's name and can't be a variable's")
        passed: set[int] = set()
        for node in ast.walk(tree):
            if not isinstance(node, _ALLOWED_NODES):
                raise Refused(f"{type(node).__name__} is not allowed")
            if isinstance(node, ast.Call):
                passed |= {id(each) for each in _metadata_nodes(node)}
            if id(node) not in passed:
                passed |= self._check_node(node)

    def _check_node(self, node: ast.AST) -> set[int]:
        """Check one; the ids of the nodes below that are checked with it."""
        if isinstance(node, ast.Constant) and _PLACE.format("") in str(node.value):
            raise Refused("a reference within a text")
        if not isinstance(node, (ast.Attribute, ast.Name)):
            return set()
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        if name in self.references:
            return set()
        if name.startswith("_"):
            raise Refused(f"{name}: names with a leading underscore are never allowed")
        parts = self.root_of(node)
        if parts is not None:
            _, rest = self.named(parts)
            unknown = [each for each in rest if each not in methods.ATTRIBUTES]
            if unknown:
                raise Refused(f"{'.'.join(parts)} is not on the list of allowed names")
            return {id(each) for each in ast.walk(node)}
        first = _first_of(node)
        known = self._locals | set(methods.BUILTINS) | set(self.references)
        if isinstance(first, ast.Name) and first.id not in known:
            raise Refused(f"{first.id} is not among the modules, builtins and variables allowed")
        if isinstance(node, ast.Attribute) and name not in methods.ATTRIBUTES:
            raise Refused(f".{name} is not among the attributes and methods allowed")
        return set()

    def named(self, parts: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
        """The value that a dotted name begins with, and the attributes that are left.

        Raises:
            Refused: the name isn't on the list.
        """
        for end in range(len(parts), 0, -1):
            head = ".".join(parts[:end])
            if head in self.served:
                return self.served[head], parts[end:]
        try:
            return names.chain(parts)
        except names.NotAllowed as error:
            raise Refused(str(error)) from None

    def root_of(self, node: ast.expr) -> tuple[str, ...] | None:
        """``a.b.c`` as its parts where ``a`` is an imported module; None: something else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.imports:
            return None
        return (*self.imports[node.id].split("."), *reversed(parts))


def imports_of(values: Any) -> dict[str, str]:
    """What the ``$import`` lines bind, beside MONAI's own three names."""
    found = {"monai": "monai", "torch": "torch", "np": "numpy", "numpy": "numpy"}
    text = json.dumps(values, default=str)
    pattern = r"\"\$\s*(?:from ([\w.]+) )?import ([\w.]+)(?: as (\w+))?\s*\""
    for source, name, alias in re.findall(pattern, text):
        dotted = f"{source}.{name}" if source else name
        if dotted.split(".")[0] in names.MODULES and not (alias or name).startswith("_"):
            bound = alias or (name if source else name.split(".")[0])
            found[bound] = dotted if alias or source else bound
    return found


def _bound(tree: ast.expr) -> set[str]:
    """Variables of lambdas and comprehensions."""
    found = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.comprehension):
            found |= {each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)}
    return found


def _first_of(node: ast.expr) -> ast.expr:
    """``a`` of ``a.b.c``."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node


def _metadata_nodes(node: ast.Call) -> list[ast.AST]:
    """The nodes of that call but for PATH; empty: it isn't that call."""
    path = metadata_path(node)
    if path is None:
        return []
    inside = {id(each) for each in ast.walk(path)}
    return [each for each in ast.walk(node) if id(each) not in inside]
