"""The forms of the sentences that our errors say, read from the source (thalihub/sentences.py)."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from thalihub.tests.hubprocess import SOURCE

_APPS = ("acl", "couchapi", "discovery", "replication", "thalihub")
# Commands are for English terminals; the API answers programs, in CouchDB's words.
_NOT_ON_PAGES = {
    "tests", "migrations", "management", "endpoints", "parsers", "permissions", "feeds",
    "channel", "exchange", "inbox", "lean", "leanrequest", "request", "restoring", "server",
    "target",
}  # fmt: skip
_COUCHDBS = SOURCE / "couchapi" / "core"
# Errors here say their docstrings.
_BY_DOCSTRING = [SOURCE / app / "core" / "errors.py" for app in ("discovery", "replication")]
_ALSO_ON_PAGES = (
    "CompilationError", "Conflict", "ContentMissing", "DatabaseMissing", "FileExists",
    "FunctionFailed", "StorageFull", "WorkerUnreachable",
)  # fmt: skip


def forms() -> list[str]:
    """Return every form, sorted."""
    trees = {path: ast.parse(path.read_text()) for path in _modules()}
    kinds = _kinds(trees.values())
    found = set[str]()
    for path, tree in trees.items():
        if not path.is_relative_to(_COUCHDBS) and not _NOT_ON_PAGES & {*path.parts, path.stem}:
            found.update(_said(tree, {"HubError", *kinds}))
        if not path.is_relative_to(SOURCE / "couchapi"):
            by_docstring = path in _BY_DOCSTRING
            found.update(_reason(kind, by_docstring) for kind in _classes(tree, kinds))
    found.update(_reason(kinds[name]) for name in _ALSO_ON_PAGES)
    return sorted(found - {""})


def _kinds(trees: Iterable[ast.AST]) -> dict[str, ast.ClassDef]:
    """Return the classes of errors, by name."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    kinds: dict[str, ast.ClassDef] = {}
    names = {"HubError"}
    while names:
        found = {one.name: one for one in classes if names & {_name(base) for base in one.bases}}
        names = found.keys() - kinds.keys()
        kinds |= found
    return kinds


def _classes(tree: ast.AST, kinds: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree) if node in kinds.values()]


def _reason(kind: ast.ClassDef, by_docstring: bool = False) -> str:
    """Return what an error of this kind says where it is not told what to say."""
    for node in kind.body:
        if isinstance(node, ast.Assign) and _name(node.targets[0]) == "reason":
            return _form(node.value)
    return " ".join((ast.get_docstring(kind) or "").split()) if by_docstring else ""


def _modules() -> Iterator[Path]:
    for app in _APPS:
        for path in sorted((SOURCE / app).rglob("*.py")):
            if "tests" not in path.parts:
                yield path


def _said(tree: ast.AST, names: Collection[str]) -> Iterator[str]:
    """Give the forms of what the errors that a module makes are given to say."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in names and node.args:
            form = _form(node.args[0])
            if form:
                yield form


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _form(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return ""
    parts, places = [], 0
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts.append(str(value.value).replace("{", "{{").replace("}", "}}"))
        else:
            parts.append(f"{{{places}}}")
            places += 1
    return "".join(parts)
