"""What the applications share: solves as PyLops does them, arrays in and out, and smooth windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import as_tensor, to_numpy
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.basic import cgls, lsqr


def least_squares(Op: LinearOperator, y: Tensor, options: dict[str, Any]) -> Tensor:
    """Return the least-squares solution, by LSQR with the names and defaults of SciPy's, as PyLops's applications do.

    With a ``callback`` it is found by CGLS, with the names and defaults of PyLops's, as there. The number of iterations
    may be called ``iter_lim`` or ``niter`` in both.

    Args:
        Op: The operator.
        y: Data ``(*batch, *dimsd)``.
        options: Options of the solver, of the user.
    """
    options = dict(options)
    niter = options.pop("iter_lim", None)
    if niter is not None:
        options["niter"] = niter
    x: Tensor
    if "callback" in options:
        x = cgls(Op, y, **options).x
    else:
        x = lsqr(Op, y, **{"atol": 1e-6, "btol": 1e-6, "niter": 2 * Op.shape[1], "calc_var": False, **options}).x
    return x


def as_tensors(owner: str, arrays: Mapping[str, Any], *others: Any) -> tuple[list[Any], Callable[[Tensor], Any]]:
    """Return real arrays as tensors (None stays None), and what turns results into the kind of array that they were.

    Results are tensors if any of the arrays, or of ``others``, is one, and NumPy arrays otherwise.

    Raises:
        TypeError: If an array is complex.
    """
    tensors = [None if array is None else as_tensor(array, f"{owner}: {what}") for what, array in arrays.items()]
    for what, tensor in zip(arrays, tensors, strict=True):
        if tensor is not None and tensor.is_complex():
            raise TypeError(f"{owner}: {what} must be real, got {tensor.dtype}")
    is_torch = any(isinstance(array, Tensor) for array in (*arrays.values(), *others))
    return tensors, (lambda tensor: tensor) if is_torch else to_numpy


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
