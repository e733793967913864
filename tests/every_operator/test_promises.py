"""Every promise of the library, on the cases of every operator.

Cases stand in ``cases/``, one module for each family; a new operator or family needs its case and nothing else. Each
promise says in ``torchlops.testing`` on how many of them it is checked: cases that the fast gate leaves out are marked
``slow``.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import torchlops
from tests.every_operator.case import Case
from tests.every_operator.cases import CASES, FAMILIES
from torchlops import LinearOperator, testing
from torchlops.shapes import as_dims

pylops = pytest.importorskip("pylops")

KNOWN_PROMISES = {*testing.PROMISES, *testing.BUILDER_PROMISES, "oracle"}
COMPILED_BY_INDUCTOR = ("FirstDerivative", "Restriction", "Convolve1D", "FFT")
FAMILY_OF = {case.name: family for family, cases in FAMILIES.items() for case in cases}

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _sample(cases: Sequence[Case], sample: testing.Sample) -> list[Case]:
    """Return the cases of a sample, spread from the first to the last of each class or family."""
    if sample == "every case":
        return list(cases)
    if sample == "one":
        return list(cases[:1])
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(FAMILY_OF[case.name] if sample == "one per family" else case.class_name, []).append(case)
    if sample != "three per class":
        return [group[0] for group in groups.values()]
    return [group[index] for group in groups.values() for index in sorted({0, (len(group) - 1) // 2, len(group) - 1})]


def _each(promises: Mapping[str, testing.Promise[Any]], cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Return the parameters ``promise`` and ``case``: what the fast gate leaves out is marked ``slow``."""
    parameters = []
    for name, promise in promises.items():
        fast = {case.name for case in _sample(cases, promise.fast)}
        for case in _sample(cases, promise.full):
            marks = [] if case.name in fast else [pytest.mark.slow]
            parameters.append(pytest.param(name, case, id=f"{name}-{case.name}", marks=marks))
    return pytest.mark.parametrize(("promise", "case"), parameters)


def _skip_if_opted_out(case: Case, promise: str) -> None:
    if promise in case.opt_out:
        pytest.skip(case.opt_out[promise])


@_each(testing.PROMISES, CASES)
def test_promise(case: Case, promise: str) -> None:
    _skip_if_opted_out(case, promise)
    testing.PROMISES[promise].check(case.make())


@_each(testing.BUILDER_PROMISES, [case for case in CASES if case.tensors])
def test_promise_of_tensors(case: Case, promise: str) -> None:
    _skip_if_opted_out(case, promise)
    testing.BUILDER_PROMISES[promise].check(case.make, case.tensors)


@every_case
def test_oracle(case: Case) -> None:
    """PyLops gives the same data, and the same model, for the same input."""
    _skip_if_opted_out(case, "oracle")
    if isinstance(case.oracle, str):
        pytest.skip(case.oracle)
    ours, theirs = case.make(), case.make_pylops(pylops)
    assert (ours.shape, ours.dims, ours.dimsd) == (theirs.shape, as_dims(theirs.dims), as_dims(theirs.dimsd))
    rng = np.random.default_rng(0)
    dtypes = [np.float64] if np.dtype(theirs.dtype).kind == "f" or ours.real_model else [np.float64, np.complex128]
    for dtype in dtypes:
        x, y = (_numbers(rng, size, dtype) for size in reversed(ours.shape))
        _assert_same(ours.matvec(x), theirs.matvec(x), case, f"A x, {dtype.__name__} x")
        _assert_same(ours.rmatvec(y), theirs.rmatvec(y), case, f"A^H y, {dtype.__name__} y")


def _numbers(rng: np.random.Generator, size: int, dtype: Any) -> Any:
    imaginary = 1j * rng.standard_normal(size) if dtype is np.complex128 else 0
    return rng.standard_normal(size) + imaginary


def _assert_same(ours: Any, theirs: Any, case: Case, what: str) -> None:
    scale = max(float(np.abs(theirs).max()), 1e-300)
    error = float(np.abs(ours - theirs).max()) / scale
    tolerance = 1e-5 if theirs.dtype in (np.float32, np.complex64) else 1e-10
    assert error <= tolerance, f"{case.name}: {what} differs from PyLops's by {error:.2g} of its largest value"


CHECK_BY_INDUCTOR = """
from tests.every_operator.cases import CASES
from torchlops import testing
case = next(case for case in CASES if case.class_name == {name!r})
testing.check_compile(case.make(), backend="inductor")
testing.check_compiled_gradients(case.make(), backend="inductor")
testing.check_compiled_jacobians(case.make(), backend="inductor")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED_BY_INDUCTOR)
def test_inductor(name: str) -> None:
    """A stencil, a gather, a convolution and a transform give the right numbers as generated code, too.

    In a process of its own: what ran before can change the graphs that torch makes, and machine code that is wrong
    takes the whole process with it.
    """
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", CHECK_BY_INDUCTOR.format(name=name)]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


# -- the cases themselves --------------------------------------------------------------------------------------


def _exported(package: ModuleType) -> list[type[LinearOperator]]:
    exported = [getattr(package, name) for name in package.__all__]
    return [item for item in exported if inspect.isclass(item) and issubclass(item, LinearOperator)]


OPERATORS = [
    operator
    for package in (
        torchlops.basicoperators,
        torchlops.signalprocessing,
        torchlops.waveeqprocessing,
        torchlops.avo,
        torchlops.medical,
    )
    for operator in _exported(package)
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_exported_operator_has_cases(operator: type[LinearOperator]) -> None:
    count = Counter(case.class_name for case in CASES)[operator.__name__]
    options = set(inspect.signature(operator).parameters) - {"dims", "dtype", "name"}
    wanted = 3 if options else 1
    assert count >= wanted, f"{operator.__name__} has {count} cases, with its options it needs {wanted}"


@every_case
def test_case_is_named_after_its_class(case: Case) -> None:
    assert type(case.make()).__name__ == case.class_name


def test_the_fast_gate_keeps_every_promise_to_every_operator() -> None:
    for name, promise in testing.PROMISES.items():
        kept = {case.class_name for case in _sample(CASES, promise.fast)}
        assert promise.fast in ("one", "one per family") or kept == {case.class_name for case in CASES}, name


def test_names_are_unique() -> None:
    twice = [name for name, count in Counter(case.name for case in CASES).items() if count > 1]
    assert not twice


def test_opt_outs_name_promises_and_say_why() -> None:
    for case in CASES:
        assert set(case.opt_out) <= KNOWN_PROMISES, case.name
        assert all(case.opt_out.values()), case.name
        assert case.oracle is True or (isinstance(case.oracle, str) and case.oracle), case.name


def test_every_tensor_of_a_case_is_in_double_precision() -> None:
    for case in CASES:
        assert all(tensor.dtype in (torch.float64, torch.complex128) for tensor in case.tensors), case.name
