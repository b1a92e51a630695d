"""Walks the syntax tree of a checked ``$`` expression and gives its value."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from models.bundle import methods, names
from models.bundle.methods import Refused

MOST_STEPS = 500_000
"""Nodes evaluated for one expression or one call of a lambda."""
MOST_ITEMS = methods.MOST_ITEMS
"""Items of one value; also bits of an integer / 64."""

COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}

_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


class Tree(Protocol):
    """What the walk asks of the expression (:class:`models.bundle.expressions.Expression`)."""

    references: dict[str, str]
    imports: Mapping[str, str]
    metadata: Callable[[Any], Any]

    def named(self, parts: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
        """The value that a dotted name begins with, and the attributes that are left."""

    def root_of(self, node: ast.expr) -> tuple[str, ...] | None:
        """``a.b.c`` as its parts where ``a`` is an imported module."""


class Walk:
    """Evaluates the nodes of one expression, with the variables of its lambdas."""

    def __init__(
        self, owner: Tree, resolve: Callable[[str], Any], variables: dict[str, Any]
    ) -> None:
        self._owner = owner
        self._resolve = resolve
        self._variables = variables
        self._steps = 0

    def value(self, node: ast.expr) -> Any:
        """The value of a node.

        Raises:
            Refused: it is something that isn't allowed here.
        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Refused(f"takes more than {MOST_STEPS} steps")
        visit: Callable[[Any], Any] = getattr(self, f"_{type(node).__name__.lower()}")
        value = visit(node)
        # what it holds counts too, so that many large values don't fill the memory
        self._steps += _size(value) // 8
        return value

    def called(self, body: ast.expr, variables: dict[str, Any]) -> Any:
        """A lambda's body with its arguments bound."""
        return Walk(self._owner, self._resolve, self._variables | variables).value(body)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id in self._owner.references:
            return self._resolve(self._owner.references[node.id])
        if node.id in self._variables:
            return self._variables[node.id]
        if node.id in self._owner.imports:
            return self._named(tuple(self._owner.imports[node.id].split(".")))
        if node.id in methods.BUILTINS:
            return methods.BUILTINS[node.id]
        raise Refused(f"{node.id} is not defined here")

    def _named(self, parts: tuple[str, ...], call: bool = False) -> Any:
        """The value of a dotted name; attributes behind it are taken from the value."""
        value, rest = self._owner.named(parts)
        if not (call and not rest) and callable(value) and names.may_download(value):
            raise Refused(f"{'.'.join(parts)} may be called, not handed on")
        for name in rest:
            value = methods.attribute(value, name)
        return value

    def _attribute(self, node: ast.Attribute) -> Any:
        parts = self._owner.root_of(node)
        if parts is not None:
            return self._named(parts)
        return methods.attribute(self.value(node.value), node.attr)

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self.value(node.value)
        if not methods.is_data(value):
            raise Refused(f"a {type(value).__name__} has no subscripts here")
        return value[self.value(node.slice)]

    def _slice(self, node: ast.Slice) -> slice:
        return slice(
            *(None if e is None else self.value(e) for e in (node.lower, node.upper, node.step))
        )

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        _check_size(node.op, left, right)
        return BINARY[type(node.op)](left, right)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        return UNARY[type(node.op)](self.value(node.operand))

    def _boolop(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for each in node.values:
            value = self.value(each)
            if bool(value) is isinstance(node.op, ast.Or):
                return value
        return value

    def _compare(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        result: Any = True
        for operation, each in zip(node.ops, node.comparators, strict=True):
            right = self.value(each)
            result = COMPARE[type(operation)](left, right)
            if len(node.ops) > 1 and not result:
                return result
            left = right
        return result

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _items(self, nodes: list[ast.expr]) -> list[Any]:
        items: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items.extend(self._iterated(node.value))
            else:
                items.append(self.value(node))
        return items

    def _list(self, node: ast.List) -> list[Any]:
        return self._items(node.elts)

    def _tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._items(node.elts))

    def _set(self, node: ast.Set) -> set[Any]:
        return set(self._items(node.elts))

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                result[self.value(key)] = self.value(value)
                continue
            spread = self.value(value)
            if not isinstance(spread, dict):
                raise Refused(f"** of a {type(spread).__name__}")
            result |= spread
        return result

    def _iterated(self, node: ast.expr) -> Iterable[Any]:
        value: Iterable[Any] = self.value(node)
        if not methods.is_data(value):
            raise Refused(f"a {type(value).__name__} can't be gone through")
        return value

    def _comprehended(
        self, generators: list[ast.comprehension], result: _Comprehension
    ) -> list[Any]:
        if not generators:
            if isinstance(result, ast.DictComp):
                return [(self.value(result.key), self.value(result.value))]
            return [self.value(result.elt)]
        first, rest = generators[0], generators[1:]
        if first.is_async:
            raise Refused("async is not allowed")
        found: list[Any] = []
        for item in self._iterated(first.iter):
            self._bind(first.target, item)
            if all(self.value(condition) for condition in first.ifs):
                found.extend(self._comprehended(rest, result))
        return found

    def _comprehension(self, node: _Comprehension) -> list[Any]:
        outer, self._variables = self._variables, dict(self._variables)
        try:
            return self._comprehended(node.generators, node)
        finally:
            self._variables = outer

    def _bind(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._variables[target.id] = value
            return
        if not isinstance(target, (ast.Tuple, ast.List)) or not methods.is_data(value):
            raise Refused("a loop variable must be a name or a tuple of names")
        for each, item in zip(target.elts, list(value), strict=True):
            self._bind(each, item)

    def _listcomp(self, node: ast.ListComp) -> list[Any]:
        return self._comprehension(node)

    _generatorexp = _listcomp

    def _setcomp(self, node: ast.SetComp) -> set[Any]:
        return set(self._comprehension(node))

    def _dictcomp(self, node: ast.DictComp) -> dict[Any, Any]:
        return dict(self._comprehension(node))

    def _lambda(self, node: ast.Lambda) -> methods.Closure:
        arguments = node.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
            raise Refused("a lambda takes plain arguments here")
        here = Walk(self._owner, self._resolve, self._variables)
        return methods.Closure(
            tuple(each.arg for each in arguments.args),
            tuple(self.value(each) for each in arguments.defaults),
            lambda variables: here.called(node.body, variables),
            node,
        )

    def _call(self, node: ast.Call) -> Any:
        served = metadata_path(node)
        if served is not None:
            return self._owner.metadata(self.value(served))
        positional = self._items(node.args)
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is None:
                if not isinstance(value, dict):
                    raise Refused(f"** of a {type(value).__name__}")
                named |= value
            else:
                named[keyword.arg] = value
        if isinstance(named.get("device"), str):
            named["device"] = "cpu"
        parts = self._owner.root_of(node.func)
        if parts is not None:
            function = self._named(parts, call=True)
        else:
            function = self.value(node.func)
            if not methods.may_be_called(function):
                raise Refused(f"{ast.unparse(node.func)} can't be called here")
        try:
            names.refuse_downloads(function, positional, named)
        except names.NotAllowed as error:
            raise Refused(str(error)) from None
        return function(*positional, **named)

    def _joinedstr(self, node: ast.JoinedStr) -> str:
        return "".join(str(self.value(each)) for each in node.values)

    def _formattedvalue(self, node: ast.FormattedValue) -> str:
        value = self.value(node.value)
        layout = "" if node.format_spec is None else str(self.value(node.format_spec))
        if node.conversion == ord("r"):
            value = repr(value)
        elif node.conversion != -1:
            value = str(value)
        return methods.formatted(value, layout)


def metadata_path(node: ast.Call) -> ast.expr | None:
    """PATH of ``json.loads(pathlib.Path(PATH).read_text())``; None: something else."""
    inner = _only_argument(node, "json.loads")
    if not isinstance(inner, ast.Call) or inner.args or inner.keywords:
        return None
    reader = inner.func
    if not isinstance(reader, ast.Attribute) or reader.attr != "read_text":
        return None
    return _only_argument(reader.value, "pathlib.Path")


def _only_argument(node: ast.expr, function: str) -> ast.expr | None:
    """X of ``function(X)``; None: something else."""
    if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
        return None
    return node.args[0] if ast.unparse(node.func) == function else None


def _check_size(operation: ast.operator, left: Any, right: Any) -> None:
    """Refuse what would fill the memory before it is computed."""
    if isinstance(operation, ast.Mod) and isinstance(left, (str, bytes)):
        methods.check_layout(str(left))
    if isinstance(operation, ast.Mult):
        for one, other in ((left, right), (right, left)):
            if isinstance(one, (str, bytes, list, tuple)) and isinstance(other, int):
                _refuse_above(len(one) * other)
    if isinstance(operation, ast.Pow) and isinstance(left, int) and isinstance(right, int):
        _refuse_above(left.bit_length() * abs(right) // 64)


def _size(value: Any) -> int:
    """Items of a value, checked."""
    size = 0
    if isinstance(value, (str, bytes)):
        size = len(value)
        if size > methods.MOST_CHARACTERS:
            raise Refused(f"makes a text of {size} characters")
    elif isinstance(value, (list, tuple, set, dict)):
        size = len(value)
    elif isinstance(value, int):
        size = value.bit_length() // 64
    _refuse_above(size)
    return size


def _refuse_above(items: int) -> None:
    if items > MOST_ITEMS:
        raise Refused(f"makes a value of {items} items, more than {MOST_ITEMS}")
