"""Settings of the whole test suite."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)  # the tensors are small, and the workers of pytest-xdist share the cores


def pytest_configure(config: pytest.Config) -> None:
    """Turn warnings into errors, but for those of torch about itself."""
    for line in (
        "error",
        "ignore:.*torch.jit.*:DeprecationWarning",  # torch scripts a decomposition when forward mode is first used
        "ignore:ComplexHalf support is experimental",
        "ignore:Sparse CSR tensor support is in beta",
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ):
        config.addinivalue_line("filterwarnings", line)
