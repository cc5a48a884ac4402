"""Mutation operators: yield syntax trees of a source file, each with one small change.

The operators are the usual ones (those of mutmut and cosmic-ray): comparisons, `and`, `or`, `not`,
arithmetic, constants, conditions, returned values, removed statements, `break` and `continue`,
ends of slices, `min` and `max`, `any` and `all`, removed text methods. Annotations, docstrings,
assertions, decorators and imports stay: they change nothing at run time, or only speed.
"""

import ast
import copy
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_TEXT_METHODS = {
    *("strip", "rstrip", "lstrip", "lower", "upper", "casefold", "removeprefix", "removesuffix"),
    *("replace", "translate"),
}
# Their first argument is only for the type checker.
_TYPES = {"TypeVar", "NewType"}


class Mutant(NamedTuple):
    """One mutant."""

    key: str
    """Place and change, without line numbers, so that it survives changes elsewhere."""
    function: str
    lines: range | None
    """Of the statement: a test that runs none of them cannot kill it. None: outside functions."""
    tree: ast.Module


def mutants(module: str, source: str, only: Collection[str] | None = None) -> Iterator[Mutant]:
    """Yield the mutants of a module, in the order of its lines; `only` those with these keys."""
    functions = {key.partition(": ")[0] for key in only or ()}
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for path in _paths(tree, ()):
        function = module + _function(path)
        if only is not None and function not in functions:
            continue
        parent, field, index = path[-1]
        old = _get(parent, field, index)
        before = _shown(path)
        for new in _changes(old, parent, field):
            ast.copy_location(new, old)
            _put(parent, field, index, new)
            key = f"{function}: {' => '.join(_where_they_differ(before, _shown(path)))}"
            seen[key] += 1
            key += f" #{seen[key]}" if seen[key] > 1 else ""
            if only is None or key in only:
                whole = ast.fix_missing_locations(copy.deepcopy(tree))
                yield Mutant(key, function, _lines(path), whole)
        _put(parent, field, index, old)


_Step = tuple[ast.AST, str, int | None]


def _paths(node: ast.AST, above: tuple[_Step, ...]) -> Iterator[tuple[_Step, ...]]:
    """Yield the path to each node that may be changed."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "format_spec"):
            continue
        children = value if isinstance(value, list) else [value]
        for position, child in enumerate(children):
            if isinstance(child, ast.AST) and not _stays(child):
                step = (node, field, position if isinstance(value, list) else None)
                yield (*above, step)
                yield from _paths(child, (*above, step))


def _stays(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Assert() | ast.Import() | ast.ImportFrom():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.BinOp(op=ast.BitOr(), right=ast.Constant(value=None)):  # a type
            return True
        case ast.Assign(value=ast.Subscript(value=ast.Name(id="Callable" | "Generator"))):
            return True
        case ast.Assign(targets=[ast.Name(id="__slots__")]):  # another name there ends every use
            return True
        case ast.Assign(value=ast.Call(func=ast.Name(id=name))) if name in _TYPES:
            return True
    return False


def _get(parent: ast.AST, field: str, index: int | None) -> ast.AST:
    value = getattr(parent, field)
    found: ast.AST = value if index is None else value[index]
    return found


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _function(path: tuple[_Step, ...]) -> str:
    definitions = (ast.FunctionDef, ast.ClassDef)
    return "".join(f".{node.name}" for node, *_ in path if isinstance(node, definitions))


def _shown(path: tuple[_Step, ...]) -> str:
    """Return the smallest meaningful piece of code around a change."""
    pieces = [_get(*step) for step in reversed(path)]
    for piece in pieces:
        if isinstance(piece, ast.expr | ast.stmt | ast.comprehension | ast.arguments):
            text = ast.unparse(piece)
            if len(text) >= 16 or isinstance(piece, ast.stmt):
                return " ".join(text.split())
    return ""


def _where_they_differ(before: str, after: str) -> tuple[str, str]:
    """Shorten long pieces to the part around the change."""
    if len(before) + len(after) <= 240:
        return before, after
    begin = _in_common(before, after)
    same = _in_common(before[begin:][::-1], after[begin:][::-1])
    first, last = max(0, begin - 40), max(0, same - 40)
    return before[first : len(before) - last], after[first : len(after) - last]


def _in_common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _lines(path: tuple[_Step, ...]) -> range | None:
    """Return the lines of the smallest statement; of a compound one those of its head."""
    if not any(isinstance(node, ast.FunctionDef) and field == "body" for node, field, _ in path):
        return None
    # The compiler generates no line for `break` and `continue`.
    statement = [
        each
        for each in (_get(*step) for step in path)
        if isinstance(each, ast.stmt) and not isinstance(each, ast.Break | ast.Continue)
    ][-1]
    body: list[ast.stmt] = getattr(statement, "body", [])
    end = body[0].lineno if body else (statement.end_lineno or statement.lineno) + 1
    return range(statement.lineno, end)


def _changes(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=ops):
            for position, operator in enumerate(ops):
                for other in _COMPARISONS.get(type(operator), ()):
                    changed = [*ops[:position], other(), *ops[position + 1 :]]
                    yield ast.Compare(node.left, changed, node.comparators)
        case ast.BoolOp(op=op):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            yield ast.BinOp(node.left, _ARITHMETIC[type(op)](), node.right)
        case ast.Constant(value=constant):
            yield from map(ast.Constant, _constants(constant))
        case ast.Slice(lower=lower, upper=upper):
            if lower:
                yield ast.Slice(None, upper, node.step)
            if upper:
                yield ast.Slice(lower, None, node.step)
        case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
            yield ast.Call(ast.Name(_FUNCTIONS[name], ast.Load()), node.args, node.keywords)
        case ast.Call(func=ast.Attribute(value=text, attr=attr)) if attr in _TEXT_METHODS:
            yield text
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.AugAssign(target=ast.Name(id=name)):
            yield ast.Assign([ast.Name(name, ast.Store())], node.value)
            yield ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value)
        case ast.AugAssign(target=ast.Attribute() as target):
            yield ast.Assign([ast.Attribute(target.value, target.attr, ast.Store())], node.value)
            yield ast.AugAssign(target, _ARITHMETIC[type(node.op)](), node.value)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Name(id=name)]) if not isinstance(node.value, ast.Constant):
            yield ast.Assign(node.targets, ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
    # Negate a condition; comparisons and boolean operators are changed above.
    if (field == "test" or (field == "ifs" and isinstance(parent, ast.comprehension))) and (
        isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.BoolOp | ast.NamedExpr)
    ):
        yield ast.UnaryOp(ast.Not(), node)


def _constants(value: object) -> Iterator[bool | float | str | bytes]:
    match value:
        case bool():
            yield not value
        case int() | float():
            yield value + 1
        case str():
            yield f"XX{value}XX"
        case bytes():
            yield b"XX" + value + b"XX"
