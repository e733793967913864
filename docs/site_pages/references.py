"""Cross-references of docstrings to objects that are documented under another path than the one that is written."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from . import api


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Return a link to the page of the object that a reference names by another path, or by its last name only."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    name = _known(target, node.get("py:module") or "torchlops")
    if name is None or name == target:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)


def _known(target: str, module: str) -> str | None:
    """Return the documented path of an object, or of a member of it."""
    for count in range(target.count(".") + 1):  # the members of an object are documented with it
        path, *member = target.rsplit(".", count)
        found = _paths().get(path) or _by_identity(path, module)
        if found:
            return ".".join([found, *member])
    return None


@lru_cache(maxsize=1)
def _paths() -> dict[str, str]:
    """Return the documented paths by every name that is unique: the path itself, and its last part."""
    paths = [api.path(module, name) for module, names in api.homes().items() for name in names]
    last = [path.rsplit(".", 1)[-1] for path in paths]
    unique = {name: path for name, path in zip(last, paths, strict=True) if last.count(name) == 1}
    return {path: path for path in paths} | unique


@lru_cache(maxsize=1)
def _identities() -> dict[int, str]:
    homes = api.homes().items()
    return {id(getattr(importlib.import_module(m), name)): api.path(m, name) for m, names in homes for name in names}


def _by_identity(path: str, module: str) -> str | None:
    """Return the documented path of what can be imported by ``path``, or by it in ``module``."""
    for full in (path, f"{module}.{path}"):
        package, _, name = full.rpartition(".")
        try:
            value = getattr(importlib.import_module(package), name)
        except (ImportError, AttributeError, ValueError):
            continue
        if id(value) in _identities():
            return _identities()[id(value)]
    return None
