"""Examples of docstrings, with the imports that they need: doctest finds these names in the module."""

from __future__ import annotations

import builtins
import doctest
import inspect
import re
import symtable
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from . import api


def add_imports(*event: Any) -> None:
    """Write the imports that the examples of a docstring need before the first of them, after those that are there."""
    _, _, name, thing, _, lines = event
    prompts = [number for number, line in enumerate(lines) if line.lstrip().startswith(">>> ")]
    if prompts:
        place = next(number for number in prompts if not re.match(r"\s*>>> (import|from) ", lines[number]))
        indent = re.match(r"\s*", lines[place])[0]
        module = sys.modules[thing.__name__ if inspect.ismodule(thing) else _function(thing).__module__]
        lines[place:place] = [f"{indent}>>> {line}" for line in imports("\n".join(lines), module, name)]


def _function(thing: Any) -> Any:
    """Return what a property, or another descriptor, calls."""
    return getattr(thing, "fget", None) or inspect.unwrap(thing)


def imports(text: str, module: ModuleType, name: str = "") -> list[str]:
    """Return the imports that the examples in a docstring of ``module`` need to run alone."""
    code = "".join(example.source for example in doctest.DocTestParser().get_examples(text))
    plain: set[str] = set()
    public: dict[str, set[str]] = {}
    for needed in sorted(_undefined(code)):
        if not hasattr(module, needed):
            raise NameError(f"the example of {name or module.__name__} needs {needed}, which {module.__name__} lacks")
        value = getattr(module, needed)
        if inspect.ismodule(value):
            plain.add(_import(value, needed))
        else:
            package, _, last = _home(value, needed, module.__name__).rpartition(".")
            public.setdefault(package, set()).add(last)
    return [
        *sorted(plain),
        *(f"from {package} import {', '.join(sorted(public[package]))}" for package in sorted(public)),
    ]


def _import(module: ModuleType, needed: str) -> str:
    path = module.__name__
    if path == needed:
        return f"import {path}"
    package, _, last = path.rpartition(".")
    return f"from {package} import {last}" if last == needed else f"import {path} as {needed}"


def _home(value: Any, needed: str, module: str) -> str:
    """Return the path from which users import a value: that of its page, or else that of its source."""
    path = api.documented().get(id(value))
    if path is not None and path.rpartition(".")[2] == needed:
        return path
    source = getattr(value, "__module__", None) or module
    return f"{source}.{needed}"


def _undefined(code: str) -> set[str]:
    """Return the global names that code reads and does not define."""
    top = symtable.symtable(code, "<example>", "exec")
    defined = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    read = {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (table is top or symbol.is_global())
    }
    return read - defined - set(vars(builtins))


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)
