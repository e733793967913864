"""Modules and functions for NumPy, torch, CuPy and JAX arrays, for code that is written for PyLops.

PyLops's own operators choose their functions by the array that they are given; those of torchlops need none of this.
CuPy, JAX and SciPy are imported only when something of them is asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops import arrays
from torchlops.extras import EXTRAS, import_extra
from torchlops.utils import deps

__all__ = [
    "get_add_at",
    "get_array_module",
    "get_block_diag",
    "get_complex_dtype",
    "get_convolve",
    "get_correlate",
    "get_csc_matrix",
    "get_csr_matrix",
    "get_dia_matrix",
    "get_fftconvolve",
    "get_gaussian_filter",
    "get_lstsq",
    "get_module",
    "get_module_name",
    "get_normalize_axis_index",
    "get_oaconvolve",
    "get_real_dtype",
    "get_sliding_window_view",
    "get_sp_fft",
    "get_sparse_eye",
    "get_toeplitz",
    "inplace_add",
    "inplace_divide",
    "inplace_multiply",
    "inplace_set",
    "randn",
    "to_cupy",
    "to_cupy_conditional",
    "to_numpy",
    "to_numpy_conditional",
]

_MODULES = {"numpy": "numpy", "torch": "torch", "cupy": "cupy", "jax": "jax.numpy"}


def get_module(backend: str = "numpy") -> ModuleType:
    """Return the module of a backend: ``numpy``, ``torch``, ``cupy`` or ``jax`` (which is ``jax.numpy``).

    Raises:
        ValueError: If there is no such backend.
    """
    if backend not in _MODULES:
        raise ValueError(f"backend must be one of {', '.join(_MODULES)}, got {backend!r}")
    name = _MODULES[backend]
    return import_extra(name, f"the backend {backend!r}") if backend in EXTRAS else importlib.import_module(name)


def get_module_name(mod: ModuleType) -> str:
    """Return the backend whose module is ``mod``.

    >>> get_module_name(np)
    'numpy'

    Raises:
        ValueError: If it is that of none.
    """
    for backend, name in _MODULES.items():
        if mod is sys.modules.get(name):
            return backend
    raise ValueError(f"the module must be that of one of {', '.join(_MODULES)}, got {mod}")


def get_array_module(x: Any) -> ModuleType:
    """Return the module of an array; NumPy for what is no array.

    >>> get_array_module(np.ones(2)).__name__, get_array_module(torch.ones(2)).__name__
    ('numpy', 'torch')
    """
    return get_module(_backend_of(x))


def _backend_of(x: Any) -> str:
    if isinstance(x, Tensor):
        return "torch"
    for backend, kind in (("jax", "Array"), ("cupy", "ndarray")):
        if backend in sys.modules and isinstance(x, getattr(sys.modules[backend], kind, ())):
            return backend
    return "numpy"


def _function(x: Any, name: str, **modules: str) -> Any:
    """Return the function ``name`` from the one of ``modules`` that is for the backend of ``x``."""
    backend = _backend_of(x)
    if backend not in modules:
        raise NotImplementedError(f"there is no {name} for arrays of {backend}: convert them first, with to_numpy(x)")
    module = modules[backend]
    found = import_extra(module, name) if module.startswith("scipy") else importlib.import_module(module)
    return getattr(found, name)


def get_normalize_axis_index() -> Callable[[int, int], int]:
    """Return NumPy's function that counts an axis from the start."""
    modern = hasattr(np.lib, "array_utils")
    module = importlib.import_module("numpy.lib.array_utils" if modern else "numpy.core.multiarray")
    return module.normalize_axis_index  # type: ignore[no-any-return]


def _signal(x: Any, name: str) -> Any:
    return _function(x, name, numpy="scipy.signal", cupy="cupyx.scipy.signal", jax="jax.scipy.signal")


def get_convolve(x: Any) -> Any:
    """Return ``convolve`` of ``scipy.signal``, or its counterpart for the array ``x``."""
    return _signal(x, "convolve")


def get_fftconvolve(x: Any) -> Any:
    """Return ``fftconvolve`` of ``scipy.signal``, or its counterpart for the array ``x``."""
    return _signal(x, "fftconvolve")


def get_oaconvolve(x: Any) -> Any:
    """Return ``oaconvolve`` of ``scipy.signal``, or its counterpart for the array ``x``."""
    return _function(x, "oaconvolve", numpy="scipy.signal", cupy="cupyx.scipy.signal")


def get_correlate(x: Any) -> Any:
    """Return ``correlate`` of ``scipy.signal``, or its counterpart for the array ``x``."""
    return _signal(x, "correlate")


def get_add_at(x: Any) -> Any:
    """Return ``numpy.add.at``, or its counterpart for the array ``x``."""
    return _function(x, "scatter_add", cupy="cupyx") if _backend_of(x) == "cupy" else np.add.at


def get_sliding_window_view(x: Any) -> Any:
    """Return ``sliding_window_view`` of ``numpy.lib.stride_tricks``, or its counterpart for the array ``x``."""
    return _function(x, "sliding_window_view", numpy="numpy.lib.stride_tricks", cupy="cupy.lib.stride_tricks")


def get_block_diag(x: Any) -> Any:
    """Return ``block_diag`` of ``scipy.linalg``, or its counterpart for the array ``x``."""
    modules = {"numpy": "scipy.linalg", "cupy": "cupyx.scipy.linalg", "jax": "jax.scipy.linalg", "torch": "torch"}
    return _function(x, "block_diag", **modules)


def get_toeplitz(x: Any) -> Any:
    """Return ``toeplitz`` of ``scipy.linalg``, or its counterpart for the array ``x``."""
    return _function(x, "toeplitz", numpy="scipy.linalg", cupy="cupyx.scipy.linalg", jax="jax.scipy.linalg")


def get_gaussian_filter(x: Any) -> Any:
    """Return ``gaussian_filter`` of ``scipy.ndimage``, or its counterpart for the array ``x``."""
    return _function(x, "gaussian_filter", numpy="scipy.ndimage", cupy="cupyx.scipy.ndimage")


def _sparse(x: Any, name: str) -> Any:
    return _function(x, name, numpy="scipy.sparse", cupy="cupyx.scipy.sparse")


def get_csc_matrix(x: Any) -> Any:
    """Return ``csc_matrix`` of ``scipy.sparse``, or its counterpart for the array ``x``."""
    return _sparse(x, "csc_matrix")


def get_csr_matrix(x: Any) -> Any:
    """Return ``csr_matrix`` of ``scipy.sparse``, or its counterpart for the array ``x``."""
    return _sparse(x, "csr_matrix")


def get_dia_matrix(x: Any) -> Any:
    """Return ``dia_matrix`` of ``scipy.sparse``, or its counterpart for the array ``x``."""
    return _sparse(x, "dia_matrix")


def get_sparse_eye(x: Any) -> Any:
    """Return ``eye`` of ``scipy.sparse``, or its counterpart for the array ``x``."""
    return _sparse(x, "eye")


def get_lstsq(x: Any) -> Any:
    """Return ``lstsq`` of ``scipy.linalg``, or its counterpart for the array ``x``."""
    modules = {"numpy": "scipy.linalg", "cupy": "cupy.linalg", "jax": "jax.numpy.linalg", "torch": "torch.linalg"}
    return _function(x, "lstsq", **modules)


def get_sp_fft(x: Any) -> Any:
    """Return the module ``scipy.fft``, or its counterpart for the array ``x``."""
    return _function(x, "fft", numpy="scipy", cupy="cupyx.scipy")


def get_complex_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the complex dtype of the same precision.

    >>> get_complex_dtype("float32"), get_complex_dtype("complex128")
    (dtype('complex64'), dtype('complex128'))
    """
    return (np.ones(1, dtype) + 1j * np.ones(1, dtype)).dtype


def get_real_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the real dtype of the same precision.

    >>> get_real_dtype("complex64")
    dtype('float32')
    """
    return np.ones(1, dtype).real.dtype


def to_cupy(x: Any) -> Any:
    """Return an array as a CuPy array; as it is if CuPy is not there."""
    return get_module("cupy").asarray(x) if deps.is_enabled("cupy") else x


def to_numpy(x: Any) -> NDArray[Any]:
    """Return an array of torch, CuPy or JAX as a NumPy array, and others as they are.

    >>> to_numpy(torch.ones(2))
    array([1., 1.], dtype=float32)
    """
    backend = _backend_of(x)
    if backend == "torch":
        return arrays.to_numpy(x)
    if backend == "cupy":
        return get_module("cupy").asnumpy(x)  # type: ignore[no-any-return]
    return np.array(x) if backend == "jax" else x


def to_cupy_conditional(x: Any, y: Any) -> Any:
    """Return ``y`` as a CuPy array, on the device of ``x``, if ``x`` is one; otherwise as it is."""
    if _backend_of(x) != "cupy" or _backend_of(y) == "cupy":
        return y
    with x.device:
        return get_module("cupy").asarray(y)


def to_numpy_conditional(x: Any, y: Any) -> Any:
    """Return ``y`` as a NumPy array if ``x`` is one; otherwise as it is."""
    return to_numpy(y) if _backend_of(x) == "numpy" else y


def inplace_set(x: Any, y: Any, idx: Any) -> Any:
    """Return ``y`` with ``y[idx] = x``, in place except for JAX.

    >>> inplace_set(np.ones(2), np.zeros(3), slice(2))
    array([1., 1., 0.])
    """
    if _backend_of(x) == "jax":
        return y.at[idx].set(x)
    y[idx] = x
    return y


def inplace_add(x: Any, y: Any, idx: Any, accumulate: bool = False) -> Any:
    """Return ``y`` with ``y[idx] += x``, in place except for JAX.

    Args:
        x: What is added.
        y: To which it is added.
        idx: Where it is added.
        accumulate: Whether places that occur twice in ``idx`` are added to twice.
    """
    backend = _backend_of(x)
    if backend == "jax":
        return y.at[idx].add(x)
    if accumulate and backend == "torch":
        y.index_put_(idx if isinstance(idx, tuple) else (idx,), x, accumulate=True)
    elif accumulate:
        get_add_at(x)(y, idx, x)
    else:
        y[idx] += x
    return y


def inplace_multiply(x: Any, y: Any, idx: Any) -> Any:
    """Return ``y`` with ``y[idx] *= x``, in place except for JAX."""
    if _backend_of(x) == "jax":
        return y.at[idx].multiply(x)
    y[idx] *= x
    return y


def inplace_divide(x: Any, y: Any, idx: Any) -> Any:
    """Return ``y`` with ``y[idx] /= x``, in place except for JAX."""
    if _backend_of(x) == "jax":
        return y.at[idx].divide(x)
    y[idx] /= x
    return y


def randn(*n: int, backend: str = "numpy") -> Any:
    """Return normal random numbers of shape ``n``, from the global generator of NumPy, CuPy or torch.

    Args:
        *n: The shape.
        backend: Kind of the array; see :func:`get_module`.
    """
    module = get_module(backend)
    if backend == "torch":
        return torch.randn(*n)
    return module.random.randn(*n) if backend == "cupy" else module.asarray(np.random.randn(*n))
