"""Inversions of wavefields: the data of a user, and the solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import DType, as_tensor, complex_dtype, from_array, real_dtype, torch_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.basic import lsqr
from torchlops.optimization.solver.options import Implicit

Solver: TypeAlias = "Callable[..., Any] | None"
"""A function that solves ``A x = y`` and returns the solution first, such as those of ``torchlops.optimization``."""


def read_wavefields(name: str, **arrays: Any) -> tuple[list[Tensor], Callable[[Tensor], Any]]:
    """Return the arrays of a user as tensors, and the function that gives results of the kind of the first."""
    first, *others = arrays.items()
    back: Callable[[Tensor], Any]
    if isinstance(first[1], Tensor):
        tensor, back = as_tensor(first[1], f"{name}: {first[0]}"), _unchanged
    else:
        tensor, back = from_array(first[1], f"{name}: {first[0]}")
    return [tensor, *(as_tensor(value, f"{name}: {what}").to(tensor.device) for what, value in others)], back


def _unchanged(x: Tensor) -> Tensor:
    return x


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
        solver, options = lsqr, _named_as_in_scipy(options, Op)
    elif (getattr(solver, "__module__", None) or "").startswith("scipy."):
        if back is _unchanged:
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


def _named_as_in_scipy(options: dict[str, Any], Op: LinearOperator) -> dict[str, Any]:
    options = {"atol": 1e-6, "btol": 1e-6, "niter": 2 * Op.shape[1], "calc_var": False, **options}
    niter = options.pop("iter_lim", None)
    if niter is not None:
        options["niter"] = niter
    damp = options.get("damp", 0.0)
    if not isinstance(damp, Tensor) and not np.any(damp):  # waves that the data do not see: the smallest solution
        options.setdefault("grad", Implicit(full_rank=False))
    return options
