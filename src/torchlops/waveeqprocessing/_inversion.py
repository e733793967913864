"""What the applications share: the data of a user, solvers as PyLops's applications have them, and smooth windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import DType, as_it_is, as_tensor, as_tensors, complex_dtype, real_dtype, torch_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.basic import cgls, lsqr
from torchlops.optimization.solver.options import Implicit

Solver: TypeAlias = "Callable[..., Any] | None"
"""A function that solves ``A x = y`` and returns the solution first, such as those of ``torchlops.optimization``."""


def as_real_tensors(owner: str, arrays: Mapping[str, Any], *others: Any) -> tuple[list[Any], Callable[[Tensor], Any]]:
    """Return the result of :func:`~torchlops.arrays.as_tensors` for real arrays.

    Raises:
        TypeError: If an array is complex.
    """
    tensors, back = as_tensors(owner, arrays, others)
    for what, tensor in zip(arrays, tensors, strict=True):
        if tensor is not None and tensor.is_complex():
            raise TypeError(f"{owner}: {what} must be real, got {tensor.dtype}")
    return tensors, back


def label_for(data: Tensor, dtype: DType) -> torch.dtype:
    """Return the nominal dtype of an operator in the inversion of ``data``, in which a solver iterates."""
    label = torch_dtype(dtype)
    return complex_dtype(label) if data.is_complex() else real_dtype(label)


def on_device_of(data: Tensor, Op: LinearOperator) -> LinearOperator:
    """Return ``Op``, just built, with its constants where the data are. Parameters stay where the user has them."""
    for module in Op.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(data.device)
    return Op


def batch_of(x: Tensor, dims: Sequence[int], what: str) -> tuple[int, ...]:
    """Return the leading axes of ``x``, which has wavefields of shape ``dims``.

    Raises:
        ValueError: If the trailing axes are others.
    """
    cut = x.ndim - len(dims)
    if cut < 0 or tuple(x.shape[cut:]) != tuple(dims):
        raise ValueError(f"{what} must have shape {tuple(dims)}, after any batch axes, got {tuple(x.shape)}")
    return tuple(x.shape[:cut])


def batch_of_restricted(x: Tensor, ndim: int, fields: int, restriction: LinearOperator, what: str) -> tuple[int, ...]:
    """Return the leading axes of ``x``, of whose last ``ndim`` axes ``fields`` wavefields are data of ``restriction``.

    Raises:
        ValueError: If these have another size.
    """
    rows, cut = restriction.shape[0], x.ndim - ndim
    size = fields * int(np.prod(x.shape[max(cut, 0) :]))
    if cut < 0 or size != rows:
        raise ValueError(
            f"{what} must have {ndim} axes, after any batch axes, that make up the {rows} data of the restriction "
            f"{restriction.dimsd}, got shape {tuple(x.shape)}"
        )
    return tuple(x.shape[:cut])


def solved(
    name: str, Op: LinearOperator, data: Tensor, solver: Solver, options: dict[str, Any], back: Callable[[Tensor], Any]
) -> Tensor:
    """Return the models of data ``(*batch, *dimsd)``.

    Args:
        name: Name of the application, for messages.
        Op: The operator.
        data: The data.
        solver: The solver. None is :func:`~torchlops.optimization.basic.lsqr` with the options and the defaults that
            SciPy's has, which is PyLops's default.
        options: Options of the solver.
        back: What gives arrays of the kind of the user's data, in which the solver works.

    Raises:
        TypeError: If a solver of SciPy is given tensors, whose derivatives would be lost.
        ValueError: If it is given a batch.
    """
    batch = tuple(data.shape[: data.ndim - len(Op.dimsd)])
    if solver is None:
        solver, options = lsqr, named_as_in_scipy(options, Op)
    elif (getattr(solver, "__module__", None) or "").startswith("scipy."):
        if back is as_it_is:
            raise TypeError(
                f"{name}: {solver.__name__} of SciPy takes NumPy arrays, got a tensor: use a solver of "
                "torchlops.optimization"
            )
        if batch:
            raise ValueError(
                f"{name}: {solver.__name__} of SciPy takes one problem, got the batch {batch}: use a solver of "
                "torchlops.optimization"
            )
    given = data.reshape((*batch, Op.shape[0]))
    model = solver(Op, back(given), **options)[0]
    return as_tensor(model, f"{name}: the solution").to(data.device).reshape((*batch, *Op.dims))


def least_squares(Op: LinearOperator, y: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Return the least-squares solution, by LSQR with the names and defaults of SciPy's, as PyLops's applications do.

    With a ``callback`` it is found by CGLS, with the names and defaults of PyLops's, as there. The number of iterations
    may be called ``iter_lim`` or ``niter`` in both.

    Args:
        Op: The operator.
        y: Data ``(*batch, *dimsd)``.
        options: Options of the solver, of the user.
    """
    options = named_as_in_scipy(options, Op, defaults="callback" not in options)
    x: Tensor = (cgls if "callback" in options else lsqr)(Op, y, **options).x
    return x


def named_as_in_scipy(options: Mapping[str, Any], Op: LinearOperator, defaults: bool = True) -> dict[str, Any]:
    """Return the options of our least-squares solvers for those of SciPy's ``lsqr``.

    What the data do not see has the smallest solution, and derivatives to match, if there is no damping.

    Args:
        options: Options of the user.
        Op: The operator.
        defaults: Whether SciPy's defaults hold.
    """
    of_scipy = {"atol": 1e-6, "btol": 1e-6, "niter": 2 * Op.shape[1], "calc_var": False} if defaults else {}
    named = {**of_scipy, **options}
    niter = named.pop("iter_lim", None)
    if niter is not None:
        named["niter"] = niter
    damp = named.get("damp", 0.0)
    if not isinstance(damp, Tensor) and not np.any(damp):
        named.setdefault("grad", Implicit(full_rank=False))
    return named


def smoothed(window: Tensor, size: int) -> Tensor:
    """Return a window, smoothed along its last axis by two moving averages of ``size`` samples, without a shift.

    At the ends it goes on by point reflection, as in ``scipy.signal.filtfilt``, which PyLops calls.

    Raises:
        ValueError: If the window has not more samples than are averaged.

    >>> smoothed(torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), 2)
    tensor([0.0000, 0.0000, 0.2500, 0.7500, 1.0000, 1.0000])
    """
    if size < 1:
        return window
    count = size - 1
    if window.shape[-1] <= count:
        raise ValueError(f"a window of {window.shape[-1]} samples cannot be smoothed over {size}: use fewer")
    if count == 0:
        return window
    first, last = window.narrow(-1, 0, 1), window.narrow(-1, window.shape[-1] - 1, 1)
    before = 2 * first - window.narrow(-1, 1, count).flip(-1)
    after = 2 * last - window.narrow(-1, window.shape[-1] - 1 - count, count).flip(-1)
    long = torch.cat((before, window, after), -1)
    for _ in range(2):
        long = torch.nn.functional.avg_pool1d(long.reshape(-1, 1, long.shape[-1]), size, 1).reshape(
            *long.shape[:-1], long.shape[-1] - count
        )
    return long
