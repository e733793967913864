"""Settings of the whole test suite."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)  # the tensors are small, and the workers of pytest-xdist share the cores


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the developer of one operator."""
    parser.addoption("--operator", metavar="NAME", help="run only the tests on the cases of this operator class")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of one operator, if one is named."""
    name = config.getoption("operator")
    if name is None:
        return
    kept = [item for item in items if _operator_of(item) == name]
    if not kept:
        raise pytest.UsageError(f"--operator {name}: no test case is of that class")
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _operator_of(item: pytest.Item) -> str | None:
    """Return the class of the operator that a test is parametrised with."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if "case" in parameters:
        return str(parameters["case"].class_name)
    return getattr(parameters.get("operator"), "__name__", None)


def pytest_configure(config: pytest.Config) -> None:
    """Turn warnings into errors, but for those of torch about itself."""
    config.addinivalue_line("markers", "slow: left to the full gate (make test-all); make test runs all others")
    for line in (
        "error",
        "ignore:.*torch.jit.*:DeprecationWarning",  # torch scripts a decomposition when forward mode is first used
        "ignore:ComplexHalf support is experimental",
        "ignore:Sparse CSR tensor support is in beta",
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ):
        config.addinivalue_line("filterwarnings", line)
