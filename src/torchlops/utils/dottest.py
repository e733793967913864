"""The dot test of a forward and its adjoint."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from torchlops.utils.backend import get_module, to_numpy


def dottest(
    Op: Any,
    nr: int | None = None,
    nc: int | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-21,
    complexflag: Literal[0, 1, 2, 3] = 0,
    raiseerror: bool = True,
    verb: bool = False,
    backend: Literal["numpy", "torch", "jax"] = "numpy",
) -> bool:
    r"""Test :math:`\langle A u, v \rangle = \langle u, A^H v \rangle` for one pair of random vectors.

    For an operator that is only real-linear, only the real parts are compared.
    :func:`torchlops.testing.check` is much more thorough. ``np.random.seed`` makes the vectors reproducible.

    Args:
        Op: An operator of torchlops or PyLops.
        nr: Expected number of rows; not checked by default.
        nc: Expected number of columns; not checked by default.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        complexflag: Which vectors are complex: 0 for none, 1 for the model, 2 for the data, 3 for both.
        raiseerror: Raise if the test fails, instead of returning False.
        verb: Print the result.
        backend: Kind of arrays passed to the operator: ``"numpy"``, ``"torch"`` or ``"jax"``.

    Raises:
        AssertionError: If the test fails and ``raiseerror`` is set, or ``nr`` and ``nc`` do not match the shape.
        ValueError: If ``backend`` or ``complexflag`` is unknown.

    Example:
        >>> import torchlops
        >>> dottest(torchlops.FirstDerivative(16), 16, 16)
        True
    """
    if backend not in ("numpy", "torch", "jax"):
        raise ValueError(f"backend must be 'numpy', 'torch' or 'jax', got {backend!r}")
    if complexflag not in (0, 1, 2, 3):
        raise ValueError(f"complexflag must be 0, 1, 2 or 3, got {complexflag!r}")
    rows, columns = Op.shape
    if (rows if nr is None else nr, columns if nc is None else nc) != (rows, columns):
        raise AssertionError(f"nr={nr}, nc={nc} do not match the shape {Op.shape} of the operator")
    u = _random(columns, Op.dtype, complexflag in (1, 3))
    v = _random(rows, Op.dtype, complexflag in (2, 3))
    convert = get_module(backend).asarray
    y, x = to_numpy(Op.matvec(convert(u))), to_numpy(Op.rmatvec(convert(v)))
    left, right = np.vdot(y, v), np.vdot(u, x)
    if not getattr(Op, "clinear", True):
        left, right = left.real, right.real
    passed = bool(np.isclose(right, left, rtol, atol))
    message = f"Dot test {'passed' if passed else 'failed'}, v^H(Opu)={left} - u^H(Op^Hv)={right}"
    if not passed and raiseerror:
        raise AssertionError(message)
    if verb:
        print(message)
    return passed


def _random(size: int, dtype: Any, is_complex: bool) -> np.ndarray[Any, Any]:
    real = np.ones(1, dtype).real.dtype
    # the generator that np.random.seed sets, and as many numbers as PyLops takes: a script goes on with the same ones
    result: np.ndarray[Any, Any] = np.random.standard_normal(size).astype(real)
    if is_complex:
        result = result + 1j * np.random.standard_normal(size).astype(real)
    return result
