"""What the pages of the documentation are made of, where they are made with the packages of Sphinx."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType

import numpy as np
import pytest

import torchlops

pytest.importorskip("sphinx")
from docs.site_pages import api, citing, selfcontained


@pytest.mark.parametrize("module", api.MODULES)
def test_examples_of_the_reference_can_be_copied(module):
    """Doctests find names in the module; readers are shown the imports, and these give the same."""
    documented = [api.value_of(module, name) for name in api.homes().get(module, [])]
    for thing in [importlib.import_module(module), *filter(inspect.getdoc, documented)]:
        home = thing if inspect.ismodule(thing) else sys.modules.get(getattr(thing, "__module__", module))
        for line in selfcontained.imports(inspect.getdoc(thing) or "", home):
            names: dict = {}
            exec(line, names)
            del names["__builtins__"]
            for name, value in names.items():
                assert value is getattr(home, name), (thing, line)


def test_imports_of_an_example(monkeypatch):
    text = """
    >>> import torch
    >>> def double(x):
    ...     return 2 * np.asarray(x)
    >>> Diagonal(torch.ones(2)), [double(i) for i in range(2)]
    """
    home = ModuleType("home")
    home.np, home.Diagonal = np, torchlops.Diagonal
    assert selfcontained.imports(text, home) == ["import numpy as np", "from torchlops import Diagonal"]
    lines = text.splitlines()
    monkeypatch.setitem(sys.modules, "home", home)
    selfcontained.add_imports(None, "module", "home", home, None, lines)
    assert lines[1:4] == [
        "    >>> import torch",
        "    >>> import numpy as np",
        "    >>> from torchlops import Diagonal",
    ]
    with pytest.raises(NameError, match="unknown"):
        selfcontained.imports(">>> unknown", home)


def test_sources_of_a_docstring():
    text = """Return it.

    Source: A. Author, A title,
    A Journal 1 (2000).

    References:
        B. Other, A book, 2001.

    Args:
        x: Something.
    """
    assert citing.sources(inspect.cleandoc(text)) == [
        "A. Author, A title, A Journal 1 (2000).",
        "B. Other, A book, 2001.",
    ]
    assert "FISTA" in citing.papers()
