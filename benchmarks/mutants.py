"""Small faults that can be put into a module's code, one at a time: what mutation testing calls mutants."""

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.BitOr: "|", ast.BitAnd: "&", ast.LShift: "<<", ast.RShift: ">>", ast.Lt: "<", ast.LtE: "<=",
    ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in",
    ast.NotIn: "not in", ast.And: "and", ast.Or: "or",
}  # fmt: skip
INSTEAD = {
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "//": ["*"], "%": ["*"], "**": ["*"], "@": ["*"],
    "|": ["&"], "&": ["|"], "<<": [">>"], ">>": ["<<"], "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<"],
    ">=": [">", "<="], "==": ["!="], "!=": ["=="], "is": ["is not"], "is not": ["is"], "in": ["not in"],
    "not in": ["in"], "and": ["or"], "or": ["and"],
}  # fmt: skip
"""What an operator is replaced by: its nearest relatives, since wild replacements are found out by any test."""

NEVER_RAISED = "ZeroDivisionError"


@dataclass(frozen=True)
class Mutant:
    """A piece of a module's source, from `start` to before `end` (characters), and what stands there instead.

    `lines` are those of the statement that it is in, `function` those of the function (None: outside of all).
    """

    kind: str
    start: int
    end: int
    after: str
    lines: tuple[int, int]
    function: tuple[int, int] | None
    place: str

    @property
    def where(self) -> str:
        """The class and function, or 'module'."""
        return self.place.partition(":")[0].removeprefix(".") or "module"

    def put_into(self, source: str) -> str:
        return source[: self.start] + self.after + source[self.end :]

    def change(self, source: str) -> str:
        """The line and what becomes of it."""
        begin, stop = source.rfind("\n", 0, self.start) + 1, source.find("\n", self.end)
        before, after = source[begin:stop], source[begin : self.start] + self.after + source[self.end : stop]
        return f"{' '.join(before.split())} ⟶ {' '.join(after.split())}"


def mutants(source: str, seed: int) -> list[Mutant]:
    """One mutant for each place and kind, in an order that the seed draws and that edits elsewhere don't change."""
    seen: Counter[tuple[str, ...]] = Counter()
    drawn: list[tuple[str, Mutant]] = []
    for kind, variants in _Finder(source).found():
        first = variants[0]
        name = (kind, first.place, source[first.start : first.end])
        seen[name] += 1
        digest = hashlib.sha256(repr((seed, name, seen[name])).encode()).hexdigest()
        drawn.append((digest, variants[int(digest[-8:], 16) % len(variants)]))
    return [mutant for _, mutant in sorted(drawn, key=lambda pair: pair[0])]


class _Finder:
    """Walks through a module. Left alone: texts, annotations, messages of errors, protocols and what is for types."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def found(self) -> Iterator[tuple[str, list[Mutant]]]:
        yield from self._statements(ast.parse(self.source).body, None, "")

    def _statements(
        self, body: list[ast.stmt], function: ast.AST | None, place: str
    ) -> Iterator[tuple[str, list[Mutant]]]:
        for statement in body:
            self.where = (statement, function, place)
            for kind, start, end, *instead in self._of_statement(statement):
                yield kind, [self._mutant(kind, start, end, after) for after in instead]
            if isinstance(statement, ast.FunctionDef):
                yield from self._statements(statement.body, statement, f"{place}.{statement.name}")
            elif isinstance(statement, ast.ClassDef):
                if "Protocol" not in (getattr(base, "id", "") for base in statement.bases):
                    yield from self._statements(statement.body, function, f"{place}.{statement.name}")
            elif not _only_for_types(statement):
                for part in ("body", "orelse", "finalbody"):
                    yield from self._statements(getattr(statement, part, []), function, place)
                for handler in getattr(statement, "handlers", []):
                    yield from self._statements(handler.body, function, place)

    def _mutant(self, kind: str, start: int, end: int, after: str) -> Mutant:
        statement, function, place = self.where
        body = getattr(statement, "body", None)
        last = body[0].lineno - 1 if isinstance(body, list) else statement.end_lineno
        whole = None if function is None else (function.body[0].lineno, function.end_lineno)
        lines = (statement.lineno, max(last, statement.lineno))
        return Mutant(kind, start, end, after, lines, whole, f"{place}:{ast.unparse(statement)[:300]}")

    def _of_statement(self, s: ast.stmt) -> Iterator[tuple]:
        """(kind, start, end, replacements …) of a statement's own expressions, not of those that it encloses."""
        if _only_for_types(s) or isinstance(s, (ast.Import, ast.ImportFrom, ast.Delete)):
            return
        if isinstance(s, (ast.FunctionDef, ast.ClassDef)):
            if isinstance(s, ast.FunctionDef):
                for default in (*s.args.defaults, *s.args.kw_defaults):
                    yield from self._of_expression(default)
            for decorator in s.decorator_list:
                if "overload" not in ast.unparse(decorator):
                    yield "decorator", self._at(decorator) - 1, self._end(decorator), "# nothing"
                    yield from self._of_expression(decorator)
            return
        if self._can_be_left_out(s):
            yield "statement", self._at(s), self._end(s), "pass"
        if isinstance(s, ast.Raise):
            return
        if isinstance(s, ast.AugAssign):
            yield from self._operator("operator", OPERATORS[type(s.op)], self._end(s.target), self._at(s.value))
        if isinstance(s, (ast.Break, ast.Continue)):
            yield "loop", self._at(s), self._end(s), "continue" if isinstance(s, ast.Break) else "break"
        if isinstance(s, ast.For):
            yield "loop", self._at(s.iter), self._end(s.iter), "[]"
        if isinstance(s, (ast.If, ast.While)):
            yield self._negated(s.test)
        for handler in getattr(s, "handlers", []):
            caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            for kind in caught:
                yield "exception", self._at(kind), self._end(kind), NEVER_RAISED
        for name, value in ast.iter_fields(s):
            if name in ("annotation", "body", "orelse", "finalbody", "handlers") and not isinstance(s, ast.Expr):
                continue
            for part in value if isinstance(value, list) else [value]:
                yield from self._of_expression(part)

    def _can_be_left_out(self, s: ast.stmt) -> bool:
        if isinstance(s, ast.Expr):
            return isinstance(s.value, ast.Call)
        stores = isinstance(s, ast.Assign) and isinstance(s.targets[0], (ast.Attribute, ast.Subscript))
        return stores or isinstance(s, (ast.AugAssign, ast.Raise))

    def _of_expression(self, e: object) -> Iterator[tuple]:
        if not isinstance(e, ast.AST) or isinstance(e, ast.JoinedStr):
            return
        if isinstance(e, ast.Call) and re.search(r"(Error|Parameter|TypeVar|cast)$", ast.unparse(e.func)):
            return  # the words of errors
        if isinstance(e, ast.BinOp) and not _is_of_texts_or_types(e):
            yield from self._operator("operator", OPERATORS[type(e.op)], self._end(e.left), self._at(e.right))
        elif isinstance(e, ast.BoolOp):
            first, second = e.values[:2]
            yield from self._operator("boolean", OPERATORS[type(e.op)], self._end(first), self._at(second))
        elif isinstance(e, ast.Compare):
            left = e.left
            for operator, right in zip(e.ops, e.comparators, strict=True):
                yield from self._operator("comparison", OPERATORS[type(operator)], self._end(left), self._at(right))
                left = right
        elif isinstance(e, ast.UnaryOp):
            yield "unary", self._at(e), self._at(e) + (3 if isinstance(e.op, ast.Not) else 1), ""
        elif isinstance(e, ast.IfExp):
            yield self._negated(e.test)
        elif isinstance(e, ast.comprehension):
            for test in e.ifs:
                yield self._negated(test)
        elif isinstance(e, ast.Constant):
            yield from self._constant(e)
        elif isinstance(e, ast.Call):
            yield from self._call(e)
        for child in ast.iter_child_nodes(e):
            yield from self._of_expression(child)

    def _operator(self, kind: str, text: str, after: int, before: int) -> Iterator[tuple]:
        between = self.source[after:before]
        if found := re.search(r"(?<![\w])" + r"\s+".join(map(re.escape, text.split())), between):
            yield kind, after + found.start(), after + found.end(), *INSTEAD[text]

    def _negated(self, test: ast.expr) -> tuple:
        start, end = self._at(test), self._end(test)
        return "condition", start, end, f"(not ({self.source[start:end]}))"

    def _constant(self, e: ast.Constant) -> Iterator[tuple]:
        value = e.value
        if isinstance(value, bool):
            instead = [str(not value)]
        elif isinstance(value, int):
            instead = [str(value + 1), f"({value - 1})"]
        elif isinstance(value, float):
            instead = (
                [repr(value + 1), f"({value - 1!r})"] if value >= 0.1 else [repr(value * 10 + 0.0), repr(value / 10)]
            )
            instead = ["0.1"] if value == 0 else instead
        else:
            return
        yield "constant", self._at(e), self._end(e), *instead

    def _call(self, e: ast.Call) -> Iterator[tuple]:
        if isinstance(e.func, ast.Name) and e.func.id in ("min", "max"):
            yield "extremum", self._at(e.func), self._end(e.func), "max" if e.func.id == "min" else "min"
        given = sorted([*e.args, *e.keywords], key=self._at)
        for number, argument in enumerate(given):
            if not isinstance(argument, ast.keyword) or isinstance(getattr(argument.value, "value", None), bool):
                continue  # any test finds that an argument without a name is missing; a bool is turned round anyhow
            if number:
                yield "argument", self._end(given[number - 1]), self._end(argument), ""
            else:
                yield "argument", self._at(argument), self._at(given[1]) if given[1:] else self._end(argument), ""

    def _at(self, node) -> int:
        return self._offset(node.lineno, node.col_offset)

    def _end(self, node) -> int:
        return self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        """Characters before a place that `ast` counts in bytes of its line."""
        start = self.starts[line - 1]
        text = self.source[start : self.starts[line]]
        return start + len(text.encode()[:column].decode())


def _only_for_types(s: ast.stmt) -> bool:
    if isinstance(s, ast.If):
        return ast.unparse(s.test) == "TYPE_CHECKING"
    return isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == "__all__"


def _is_of_texts_or_types(e: ast.BinOp) -> bool:
    if any(
        isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", None), str) for side in (e.left, e.right)
    ):
        return True
    return isinstance(e.op, ast.BitOr) and any(
        ast.unparse(side) in ("None", "bool", "int") for side in (e.left, e.right)
    )
