"""The cases of every operator, one module for each family of operators."""

from __future__ import annotations

import importlib
import pkgutil

from tests.every_operator.case import Case

FAMILIES: dict[str, list[Case]] = {
    name: importlib.import_module(f"{__name__}.{name}").CASES
    for name in sorted(
        (module.name for module in pkgutil.iter_modules(__path__)), key=lambda name: (name != "basic", name)
    )
}
"""The cases by family, the cheapest family first: checks that run on one case only run on its first."""

CASES: list[Case] = [case for cases in FAMILIES.values() for case in cases]
