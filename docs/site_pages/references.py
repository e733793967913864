"""Cross-references of docstrings to objects that are documented under another path than the one that is written."""

from __future__ import annotations

import importlib
import inspect
from functools import lru_cache
from typing import Any

from sphinx.ext.intersphinx import missing_reference

from . import api

PUBLIC = {
    "Axes": "matplotlib.axes.Axes",
    "csr_matrix": "scipy.sparse.csr_matrix",
    "np.ndarray": "numpy.ndarray",
    "SolveOptions": "torchlops.Options",
    "Tensor": "torch.Tensor",
    "torch._C.Generator": "torch.Generator",
    "torch.nn.modules.module.Module": "torch.nn.Module",
}
"""Names in signatures, and the paths under which they are documented."""


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Return a link to what a reference means: by another path, or by its last name only.

    What exists but has no page, such as an internal base class, becomes its first public ancestor, or plain text.
    """
    if node.get("refdomain") != "py":
        return None
    target, module = node["reftarget"], node.get("py:module") or "torchlops"
    name = PUBLIC.get(target) or _documented(target, module)
    if name is None:
        value = _imported(target, module)
        if value is None:
            return None
        ancestor = api.public_ancestor(value) if inspect.isclass(value) else None
        name = api.documented().get(id(ancestor))
        if name is None:
            return content
    if name.startswith("torchlops") or name in api.TYPES:
        return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)
    node["reftarget"] = name
    return missing_reference(app, env, node, content)


def _documented(target: str, module: str) -> str | None:
    """Return the documented path of an object, or of a member of it."""
    if target.rsplit(".", 1)[-1] in api.TYPES:
        return target.rsplit(".", 1)[-1]
    for count in range(target.count(".") + 1):  # the members of an object are documented with it
        path, *member = target.rsplit(".", count)
        found = _paths().get(path) or api.documented().get(id(_imported(path, module)))
        if found:
            return ".".join([found, *member])
    return None


@lru_cache(maxsize=1)
def _paths() -> dict[str, str]:
    """Return the documented paths by every name that is unique: the path itself, and its last part."""
    paths = list(api.documented().values())
    last = [path.rsplit(".", 1)[-1] for path in paths]
    unique = {name: path for name, path in zip(last, paths, strict=True) if last.count(name) == 1}
    return {path: path for path in paths} | unique


def _imported(path: str, module: str) -> Any:
    """Return what can be imported from torchlops by ``path``, or by it in ``module``."""
    for full in (path, f"{module}.{path}"):
        package, _, name = full.rpartition(".")
        if package.startswith("torchlops"):
            try:
                return getattr(importlib.import_module(package), name)
            except (ImportError, AttributeError):
                continue
    return None
