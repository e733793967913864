"""Settings of the whole test suite."""

from __future__ import annotations

import pytest
import torch

collect_ignore = ["peers/plugin.py"]  # it makes `import pylops` give torchlops, in runs of their own

torch.set_num_threads(1)  # the tensors are small, and the workers of pytest-xdist share the cores


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the developer of one operator."""
    parser.addoption("--operator", metavar="NAME", help="run only the tests on the cases of this operator class")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave dear tests to the full gate, and keep those of one operator, if one is named."""
    for item in items:
        if _is_dear(item):
            item.add_marker(pytest.mark.slow)
    name = config.getoption("operator")
    if name is None:
        return
    kept = [item for item in items if _operator_of(item) == name]
    if not kept:
        raise pytest.UsageError(f"--operator {name}: no test case is of that class")
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _is_dear(item: pytest.Item) -> bool:
    """Return whether a test repeats for complex numbers, or in compiled code, what the fast gate tests anyway."""
    if not (isinstance(item, pytest.Function) and hasattr(item, "callspec")):
        return False
    is_complex = any(isinstance(value, torch.dtype) and value.is_complex for value in item.callspec.params.values())
    return ("derivative" in item.name and is_complex) or ("the_checks" in item.nodeid and "compiled_" in item.name)


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
        "ignore:.*torch.jit.*:FutureWarning",  # as torch 2.14 calls it
        "ignore:Guards may run slower on Python:RuntimeWarning",  # torch.compile on Python 3.13.0
        "ignore:ComplexHalf support is experimental",
        "ignore:Sparse CSR tensor support is in beta",
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ):
        config.addinivalue_line("filterwarnings", line)
