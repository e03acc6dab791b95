"""Is there a way to a model, a tool or a sandbox that does not lead through the edge?

Read from the source alone, so that it holds for code no test has run. A *touch* is any use of a port's method that
reaches the world (`GUARDED`), called or only named. A touch is inside when the function it stands in is covered: when
every place that names that function either hands it to the edge (`edge.local(…, act)`, or a function that does nothing
else with it) or stands in a covered function itself. Whatever a framework may call by itself is never covered.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

GUARDED = frozenset({"reply", "call", "open", "prepare", "run", "push"})
"""Model.reply, Connector.call, Sandbox.open and prepare, Box.run, Repository.push."""
HARMLESS = frozenset({"property", "staticmethod", "classmethod", "asynccontextmanager", "override"})
"""Decorators that hand a function to nobody who would call it unasked."""
EDGE = "governance/edge.py"
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(eq=False)
class Scope:
    """One function, or the top level of a module (`node` is the module then)."""

    file: str
    node: Function | ast.Module
    outer: "Scope | None"
    method: bool = False
    named_at: list[tuple[ast.AST, "Scope"]] = field(default_factory=list)
    """Everywhere the function is named, with the scope that names it."""

    @property
    def name(self) -> str:
        """Its name; a lambda and a module have none."""
        return getattr(self.node, "name", "")

    @property
    def chain(self) -> "Iterator[Scope]":
        """This scope and all it stands in."""
        at: Scope | None = self
        while at is not None:
            yield at
            at = at.outer


class Product:
    """The product's sources by path, read once."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._trees = {path: ast.parse(text, path) for path, text in sources.items()}
        self._scopes: dict[ast.AST, Scope] = {}
        self._modules = {path: _Imports(tree) for path, tree in self._trees.items()}
        for path, tree in self._trees.items():
            self._scopes[tree] = Scope(path, tree, None)
            self._enter(tree, self._scopes[tree], in_class=False)
        self._owner = {n: s for s in list(self._scopes.values()) for n in _own(s.node)}
        self._named: dict[str, list[tuple[ast.AST, Scope]]] = {}
        for node, scope in self._owner.items():
            if isinstance(node, ast.Name | ast.Attribute):
                self._named.setdefault(_last(node), []).append((node, scope))
        self._handed = self._handed_over()
        for scope in self._functions():
            scope.named_at = list(self._names_of(scope))

    def outside(self) -> list[str]:
        """Every touch that the edge does not cover, as `file:line: source`."""
        covered = self._covered()
        return sorted(
            f"{scope.file}:{node.lineno}: {ast.unparse(node)}"  # type: ignore[attr-defined]
            for node, scope in self._touches()
            if scope not in covered
        )

    def inside(self) -> list[str]:
        """Every touch that the edge covers, as `file: source`."""
        covered = self._covered()
        return sorted(f"{s.file}: {ast.unparse(n)}" for n, s in self._touches() if s in covered)

    def _enter(self, node: ast.AST, scope: Scope, *, in_class: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                inner = Scope(scope.file, child, scope, method=in_class)
                self._scopes[child] = inner
                self._enter(child, inner, in_class=False)
            else:
                self._enter(child, scope, in_class=isinstance(child, ast.ClassDef))

    def _functions(self) -> list[Scope]:
        return [s for s in self._scopes.values() if not isinstance(s.node, ast.Module)]

    def _touches(self) -> Iterator[tuple[ast.AST, Scope]]:
        for node, scope in self._owner.items():
            if _reflects(node) or (
                isinstance(node, ast.Attribute)
                and node.attr in GUARDED
                and not _data(node)
                and not self._modules[scope.file].foreign(node)
            ):
                yield node, scope

    def _handed_over(self) -> set[ast.AST]:
        """Arguments given to the edge, directly or through a function that only passes them on."""
        doors = [call for call, scope in self._calls() if _door(call, scope)]
        handed = {a for call in doors for a in (*call.args, *(k.value for k in call.keywords))}
        passers: dict[str, set[int]] = {}
        for scope in self._functions():
            names = [a.arg for a in scope.node.args.args] if scope.name else []  # type: ignore[union-attr]
            for nth, name in enumerate(names):
                uses = [n for n in ast.walk(scope.node) if isinstance(n, ast.Name) and n.id == name]
                if uses and all(use in handed for use in uses):
                    passers.setdefault(f"{scope.file}:{scope.name}", set()).add(nth)
        for call, scope in self._calls():
            if isinstance(call.func, ast.Name):
                for nth in passers.get(f"{scope.file}:{call.func.id}", ()):
                    handed |= set(call.args[nth : nth + 1])
        return handed

    def _calls(self) -> Iterator[tuple[ast.Call, Scope]]:
        return ((n, s) for n, s in self._owner.items() if isinstance(n, ast.Call))

    def _names_of(self, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
        if isinstance(scope.node, ast.Lambda):
            assert scope.outer is not None
            yield scope.node, scope.outer
            return
        inner = scope.outer is not None and not isinstance(scope.outer.node, ast.Module)
        for node, where in self._candidates(scope):
            if scope.method:
                hit = isinstance(node, ast.Attribute)
            elif inner:
                hit = isinstance(node, ast.Name) and scope.outer in where.chain
            else:
                hit = self._modules[where.file].means(node, where.file, scope.file, scope.name)
            if hit:
                yield node, where

    def _candidates(self, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
        """What is spelled like the function, or like a name it was imported under."""
        names = {scope.name}
        if not scope.method:
            names |= {a for m in self._modules.values() for a in m.renamed.get(scope.name, ())}
        return (found for name in names for found in self._named.get(name, ()))

    def _covered(self) -> set[Scope]:
        """The largest set that keeps its own rule: named somewhere, and only by the edge or from inside."""
        covered = {s for s in self._functions() if s.named_at and not _called_by_others(s.node)}
        while True:
            kept = {
                s for s in covered
                if all(node in self._handed or where in covered for node, where in s.named_at)
            }  # fmt: skip
            if kept == covered:
                return covered
            covered = kept


class _Imports:
    """What the names of one module stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self._modules: set[str] = set()
        self._from: dict[str, tuple[str, str]] = {}
        self.renamed: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._modules |= {(a.asname or a.name).partition(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                for a in node.names:
                    self._from[a.asname or a.name] = (node.module or "", a.name)
                    self.renamed.setdefault(a.name, set()).add(a.asname or a.name)

    def foreign(self, node: ast.Attribute) -> bool:
        """Whether this is plainly something else: `asyncio.run`, a file's `.open("wb")`, the store's `.run`."""
        on = node.value
        if isinstance(on, ast.Name) and on.id in self._modules:
            return True
        if _last(on) in ("store", "_store") and node.attr == "run":
            return True
        call = getattr(node, "called_as", None)
        first = call.args[0] if call and call.args else None
        return node.attr == "open" and isinstance(first, ast.Constant)

    def means(self, node: ast.AST, here: str, file: str, name: str) -> bool:
        """Whether the node in module `here` names the module-level function `name` of `file`."""
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if isinstance(node, ast.Attribute) and node.attr == name:
            root = _first(node.value)
            return bool(root) and (
                root in self._modules or ".".join(self._from.get(root, ("", ""))) == module
            )
        if not isinstance(node, ast.Name):
            return False
        if here == file and node.id == name:
            return True
        origin, original = self._from.get(node.id, ("", ""))
        return original == name and (origin == module or module.startswith(f"{origin}."))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function itself, the functions inside it left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
            child.func.called_as = child  # type: ignore[attr-defined]
        yield child
        if not isinstance(child, Function):
            yield from _own(child)
            continue
        for outside in [*getattr(child, "decorator_list", ()), *child.args.defaults]:
            yield outside  # what is evaluated where the function is made
            yield from _own(outside)


def _door(call: ast.Call, scope: Scope) -> bool:
    """Whether this call hands a function to the edge; inside the edge, to the one method that admits."""
    func = call.func
    if not isinstance(func, ast.Attribute):
        return False
    if scope.file == EDGE:
        return func.attr == "_through" and _last(func.value) == "self"
    return func.attr == "local" and _last(func.value) == "edge"


def _data(node: ast.Attribute) -> bool:
    """Whether it is a field of that name (`item.run`, `lane.reply`): not called, and not of a port by its name."""
    if node.attr not in ("run", "reply") or hasattr(node, "called_as"):
        return False
    return not any(word in _last(node.value) for word in ("box", "port", "model", "provider"))


def _reflects(node: ast.AST) -> bool:
    """`getattr(port, "reply")`, `methodcaller("run")` and the like."""
    return (
        isinstance(node, ast.Call)
        and _last(node.func) in ("getattr", "methodcaller", "attrgetter", "__getattribute__")
        and any(isinstance(a, ast.Constant) and a.value in GUARDED for a in node.args)
    )


def _called_by_others(node: ast.AST) -> bool:
    return any(
        _last(d.func if isinstance(d, ast.Call) else d) not in HARMLESS
        for d in getattr(node, "decorator_list", ())
    )


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _first(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return getattr(node, "id", "")
