"""Which code a step ran: a digest of the source that it can reach.

A step is done again when its own code changes, and not when other code does: editing the report
trains nothing. Comments and docstrings do not count.
"""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

OWN_PACKAGES = ("train", "optimize", "deploy", "bench", "threadlite")


@functools.cache
def code_digest(module: str) -> str:
    """Return a digest of ``module`` and of every module of ours that it imports, directly or not.

    Args:
        module: dotted name, such as ``train.fit``.
    """
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        tree = _tree(name)
        waiting.extend(imported_modules(tree))
        seen[name] = ast.dump(_without_docstrings(tree))
    text = "\n".join(f"{name} {body}" for name, body in sorted(seen.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of ours that ``tree`` imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".", 1)[0] in OWN_PACKAGES and _source(name) is not None:
                yield name


@functools.cache
def _source(module: str) -> Path | None:
    """Return the module's file, or ``None`` where the name is no module."""
    package = importlib.util.find_spec(module.split(".", 1)[0])
    if package is None or not package.submodule_search_locations:
        return None
    base = Path(package.submodule_search_locations[0]).joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _tree(module: str) -> ast.Module:
    path = _source(module)
    if path is None:
        raise ModuleNotFoundError(f"{module} is not a module of threadlite")
    return ast.parse(path.read_text(encoding="utf-8"))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            body[0].value.value = ""
    return tree
