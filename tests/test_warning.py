"""Warnings of the library point to the line of the user that called it."""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import torchlops
from torchlops import Diagonal, SolverWarning, signalprocessing
from torchlops.utils.wavelets import ricker

A = Diagonal(torch.linspace(1, 50, 30, dtype=torch.float64))
Y = torch.ones(30, dtype=torch.float64)


class Mine(signalprocessing.FFT):
    """An operator of a user, whose constructor calls that of the library."""

    def __init__(self, dims: int) -> None:
        super().__init__(dims, nfft=dims // 2)


def _backward() -> None:
    diag = A.diag.clone().requires_grad_()
    x = torchlops.cgls(Diagonal(diag), Y, grad=torchlops.Implicit(niter=2))[0]
    x.sum().backward()


CALLS: dict[str, tuple[Callable[[], Any], type[Warning]]] = {
    "a solver": (lambda: torchlops.cg(-1 * A, Y), SolverWarning),
    "a solver of two terms": (lambda: torchlops.regularized_inversion(A, torch.inf * Y, [A]), SolverWarning),
    "a sparse solver": (lambda: torchlops.spgl1(Diagonal(torch.zeros(30)), Y), SolverWarning),
    "division": (lambda: torchlops.Smoothing1D(5, 4096).inverse(niter=2) @ torch.ones(4096), SolverWarning),
    "singular values": (lambda: torchlops.linalg.svdvals(Diagonal(torch.rand(3000)), k=2, niter=1), SolverWarning),
    "an operator": (lambda: signalprocessing.FFT(8, nfft=4), UserWarning),
    "an operator of a user": (lambda: Mine(8), UserWarning),
    "a convolution": (lambda: signalprocessing.Convolve2D((8, 8), torch.ones(3, 3), offset=(1.5, 1)), UserWarning),
    "an interpolation": (lambda: signalprocessing.Interp(4, [0.5, 3.5]), UserWarning),
    "a function": (lambda: ricker([0.0, 1.0]), UserWarning),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_line_of_the_user_is_named(name: str) -> None:
    call, category = CALLS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert caught
    first = Mine.__init__ if name == "an operator of a user" else call
    lines, start = inspect.getsourcelines(first)
    for warning in caught:
        assert issubclass(warning.category, category)
        assert warning.filename == __file__
        assert start <= warning.lineno < start + len(lines)


def test_a_backward_pass_is_that_of_the_user() -> None:
    with pytest.warns(SolverWarning) as caught:
        _backward()
    assert {warning.filename for warning in caught} == {__file__}


def test_all_warnings_of_the_library_do() -> None:
    root = Path(torchlops.__file__).parent
    for path in root.rglob("*.py"):
        if path.relative_to(root).parts[0] in ("warning.py", "demo"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "warnings.warn", f"{path}:{node.lineno}: use torchlops.warning.warn"
