"""Conversion between tensors and NumPy or DLPack arrays, and between torch and NumPy dtypes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from torchlops.shapes import PER_SAMPLE

DType: TypeAlias = "torch.dtype | np.dtype[Any] | type | str"
Array: TypeAlias = "Tensor | np.ndarray[Any, Any] | Sequence[Any]"

PLAIN_DTYPES = frozenset(map(np.dtype, ("float32", "float64", "complex64", "complex128")))
"""The floating-point and complex dtypes that NumPy and torch share, in native byte order, without float16."""

HALF_PRECISIONS = frozenset({torch.bfloat16, torch.float16, torch.complex32})

# A table rather than torch.empty(0, dtype=dtype).numpy().dtype, which torch.compile cannot trace.
_NUMPY_OF: dict[torch.dtype, np.dtype[Any]] = {
    torch.float64: np.dtype(np.float64),
    torch.float32: np.dtype(np.float32),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(np.float32),
    torch.complex128: np.dtype(np.complex128),
    torch.complex64: np.dtype(np.complex64),
    torch.complex32: np.dtype(np.complex64),
    **{getattr(torch, name): np.dtype(name) for name in ("bool", "uint8", "int8", "int16", "int32", "int64")},
}
_REAL_OF = {torch.complex128: torch.float64, torch.complex64: torch.float32, torch.complex32: torch.float16}
_COMPLEX_OF = {torch.float64: torch.complex128, torch.float32: torch.complex64, torch.float16: torch.complex32}


def torch_dtype(dtype: DType) -> torch.dtype:
    """Return the torch dtype that corresponds to ``dtype``: a torch or NumPy dtype, a type or a name.

    >>> torch_dtype("float32"), torch_dtype(np.complex128), torch_dtype(float)
    (torch.float32, torch.complex128, torch.float64)
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "bfloat16":
        return torch.bfloat16
    return torch.from_numpy(np.empty(0, dtype=dtype)).dtype


def is_dtype(value: Any) -> bool:
    """Whether ``value`` is the dtype of an array, as an object, a type or a name."""
    return isinstance(value, torch.dtype | np.dtype | type | str)


def numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    """Return a NumPy dtype that can represent every value of ``dtype``.

    >>> numpy_dtype(torch.complex64), numpy_dtype(torch.bfloat16)
    (dtype('complex64'), dtype('float32'))
    """
    return _NUMPY_OF[dtype]


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the real dtype of the same precision."""
    return _REAL_OF.get(dtype, dtype)


def complex_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return a complex dtype that can represent every value of ``dtype``."""
    return dtype if dtype.is_complex else _COMPLEX_OF.get(dtype, torch.complex64)


def promote(dtypes: Sequence[torch.dtype]) -> torch.dtype:
    """Return the dtype to which all ``dtypes`` promote; float64 if there are none."""
    if not dtypes:
        return torch.float64
    result = dtypes[0]
    for dtype in dtypes[1:]:
        result = torch.promote_types(result, dtype)
    return result


def conjugate(x: Tensor) -> Tensor:
    """Return ``conj(x)``: evaluated, without the lazy conjugate bit, if ``x`` is complex; else ``x`` itself."""
    return torch.complex(x.real, -x.imag) if x.is_complex() else x


def as_scalar(value: Any, what: str) -> complex | Tensor:
    """Return a user's number as a Python number of the same value, or a user's tensor as a tensor.

    >>> as_scalar(np.float32(0.5), "the factor")
    0.5

    Raises:
        TypeError: If ``value`` is not a number, or cannot be represented in float64 or complex128.
    """
    if isinstance(value, Tensor):
        return as_tensor(value, what)
    if isinstance(value, (np.ndarray, np.generic)):
        _refuse_inexact(value, what)
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, int | float | complex):
        return number
    if isinstance(number, Number):  # a fraction, a decimal number
        return float(number)  # type: ignore[arg-type]
    raise TypeError(f"{what} must be a number, got {value!r}")


def _refuse_inexact(array: Any, what: str) -> None:
    """Raise if converting a NumPy array to a tensor would lose information."""
    if torch.compiler.is_compiling():  # which cannot follow the look at a mask
        return
    if np.ma.is_masked(array):
        raise TypeError(
            f"{what} is a masked array, and a tensor would ignore its mask: fill the masked values first, for example "
            "with .filled(0), or apply the mask as an operator"
        )
    if array.dtype.kind in "fc" and array.dtype.itemsize > (8 if array.dtype.kind == "f" else 16):
        raise TypeError(
            f"{what} is of dtype {array.dtype}, which has no torch counterpart: cast it to float64 or complex128"
        )


def as_indices(values: Any, what: str) -> Tensor:
    """Return a user's list of indices as a one-dimensional int64 tensor.

    >>> as_indices([0, 2], "iava")
    tensor([0, 2])

    Raises:
        TypeError: If they are not integers. Booleans and fractions are refused.
        ValueError: If there are none, or they are not one-dimensional.
    """
    compiling = torch.compiler.is_compiling()  # which cannot follow the checks of an array
    if isinstance(values, Tensor) or compiling:
        indices = values if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))
        is_integer = not (indices.is_floating_point() or indices.is_complex() or _is_bool(indices))
    else:
        array = values if isinstance(values, np.ndarray) else np.array(values)
        _refuse_inexact(array, what)
        is_integer = array.dtype.kind in "iu"
        indices = torch.from_numpy(array.astype(np.int64)) if is_integer else torch.empty(array.shape, device="cpu")
    if indices.ndim != 1 or indices.numel() == 0:
        raise ValueError(
            f"{what} must be a non-empty, one-dimensional list of indices, got shape {tuple(indices.shape)}. "
            f"{PER_SAMPLE}"
        )
    if not is_integer:
        raise TypeError(f"{what} must be integers, got {getattr(values, 'dtype', values)}")
    return indices.to(torch.int64)


def counted_from_start(indices: Tensor, size: int, what: str) -> Tensor:
    """Return indices into an axis of ``size`` samples, with negative ones replaced by their non-negative equivalents.

    Raises:
        ValueError: If an index is out of range.

    >>> counted_from_start(torch.tensor([0, -1]), 4, "iava")
    tensor([0, 3])
    """
    if not (indices.is_meta or torch.compiler.is_compiling()):
        lowest, highest = int(indices.min()), int(indices.max())
        if lowest < -size or highest >= size:
            raise ValueError(f"{what} must be from {-size} to {size - 1}, got values from {lowest} to {highest}")
    return indices % size


def _is_bool(tensor: Tensor) -> bool:
    return tensor.dtype == torch.bool


def real_part(x: Tensor) -> Tensor:
    """Return ``Re x``: a copy if ``x`` is complex, else ``x`` itself."""
    return x.real.clone() if x.is_complex() else x


def imaginary_part(x: Tensor) -> Tensor:
    """Return a copy of ``Im x``, attached to the graph of ``x`` even if it is zero."""
    return x.imag.clone() if x.is_complex() else x.to(complex_dtype(x.dtype)).imag.to(x.dtype, copy=True)


def as_tensor(value: Any, what: str, dtype: DType | None = None) -> Tensor:
    """Return a user's numbers (tensor, array, list or number) as a floating-point or complex tensor.

    A tensor is returned as it is. The result shares memory with a NumPy array, so that later changes of the array are
    seen. Integers become float64, as in NumPy. ``dtype`` applies to values without a dtype (lists and numbers).
    """
    if isinstance(value, Tensor):
        tensor = value
    elif hasattr(value, "__dlpack__") or hasattr(value, "__array__"):
        tensor = _array_to_tensor(value, what)
    else:
        array = np.asarray(value)
        _refuse_inexact(array, what)
        try:
            wanted = None if dtype is None else numpy_dtype(torch_dtype(dtype))
            if wanted is not None and (wanted.kind == "c" or array.dtype.kind != "c"):
                array = array.astype(wanted)
            tensor = torch.from_numpy(array)
        except (TypeError, ValueError):
            raise TypeError(f"{what} must be an array of numbers, got {type(value).__name__}") from None
    if not (tensor.is_floating_point() or tensor.is_complex()):
        tensor = tensor.to(torch.float64)
    return tensor


def _array_to_tensor(array: Any, what: str) -> Tensor:
    if isinstance(array, (np.ndarray, np.generic)):
        _refuse_inexact(array, what)
        array = np.asarray(array)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if any(stride < 0 for stride in array.strides) or not array.flags.writeable:
            array = array.copy()
        try:
            return torch.from_numpy(array)
        except TypeError:
            raise TypeError(
                f"{what} is of dtype {array.dtype}, which has no torch counterpart: cast it to a numeric dtype"
            ) from None
    if hasattr(array, "__dlpack__"):
        return from_dlpack(array)
    return _array_to_tensor(np.asarray(array), what)


def zeros_from(x: Tensor) -> Tensor:
    """Return zeros of the shape of ``x`` that are computed from it, so that autograd gives a zero derivative.

    Unlike ``0 * x``, the result is also zero where ``x`` is infinite or NaN.
    """
    return x.masked_fill(x.new_ones((), dtype=torch.bool), 0)


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """Return the values of a tensor as a NumPy array; bfloat16, which NumPy lacks, becomes float32."""
    try:
        shared: NDArray[Any] = tensor.numpy()
        return shared
    except (RuntimeError, TypeError):  # it requires a gradient, is elsewhere, has the conjugate bit, or is in bfloat16
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    array: NDArray[Any] = tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
    return array


def is_shared(array: NDArray[Any]) -> bool:
    """Whether ``torch.from_numpy`` gives a tensor of the array as it is, without a copy or a cast.

    To NumPy, an axis of length 1 is contiguous whatever its stride; torch refuses a negative one.
    """
    return (
        not torch.compiler.is_compiling()
        and array.dtype in PLAIN_DTYPES
        and array.flags.carray
        and min(array.strides, default=0) >= 0
    )


def from_array(array: Any, operator: str) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """Return a user's array as a tensor, and the function that converts a tensor to the same kind of array.

    Raises:
        TypeError: If ``array`` is not an array.
    """
    if isinstance(array, np.ndarray):
        tensor = _array_to_tensor(array, f"the array given to {operator}")
        return (tensor if tensor.is_floating_point() or tensor.is_complex() else tensor.double()), to_numpy
    if hasattr(array, "__dlpack__"):
        namespace = (
            array.__array_namespace__()
            if hasattr(array, "__array_namespace__")
            else sys.modules[type(array).__module__.partition(".")[0]]
        )
        try:
            tensor = from_dlpack(array)
        except (AttributeError, TypeError) as error:
            raise TypeError(
                f"{operator} cannot read the values of a {type(array).__name__}. In a transform of JAX, use "
                "torchlops.JaxOperator(A) in place of A."
            ) from error
        return tensor, lambda tensor: namespace.from_dlpack(tensor.detach().resolve_conj().clone())
    raise TypeError(
        f"{operator} takes a torch tensor, a NumPy array or another DLPack array, got {type(array).__name__}: "
        "convert it first (numpy.asarray, torch.as_tensor)"
    )


def as_tensors(
    owner: str, values: Mapping[str, Any], others: Iterable[Any] = ()
) -> tuple[list[Any], Callable[[Tensor], Any]]:
    """Return a user's numbers as tensors of one precision on one device, and the function that gives results back.

    Results are tensors if any of ``values`` is one, or any of ``others`` is one or a list of some. Otherwise they are
    arrays of the kind of the first array. None stays None, and plain numbers do not affect the precision.

    Raises:
        TypeError: If a value is not made of numbers.

    >>> (theta, vsvp), back = as_tensors("f", {"theta": [0.0, 10.0], "vsvp": 0.5})
    >>> theta.dtype, vsvp.shape, type(back(theta)).__name__
    (torch.float64, torch.Size([]), 'ndarray')
    """
    given = {name: value for name, value in values.items() if value is not None}
    found = {name: as_tensor(value, f"{owner}: {name}") for name, value in given.items()}
    arrays = [found[name] for name, value in given.items() if not isinstance(value, int | float | complex)]
    dtype = promote([tensor.dtype for tensor in arrays])
    tensors = [value for value in given.values() if isinstance(value, Tensor)]
    device = (tensors or arrays or [torch.empty(0, device="cpu")])[0].device
    for name, tensor in found.items():
        found[name] = tensor.to(device=device, dtype=(complex_dtype if tensor.is_complex() else real_dtype)(dtype))
    back: Callable[[Tensor], Any] = to_numpy
    if tensors or any(map(holds_tensor, others)):
        back = as_it_is
    else:
        foreign = [value for value in given.values() if hasattr(value, "__dlpack__")]
        if foreign:
            back = from_array(foreign[0], owner)[1]
    return [found.get(name) for name in values], back


def holds_tensor(value: Any) -> bool:
    """Whether ``value`` is a tensor, or a list or tuple with one.

    >>> holds_tensor([0.1, torch.ones(())]), holds_tensor("abc")
    (True, False)
    """
    return isinstance(value, Tensor) or (isinstance(value, list | tuple) and any(map(holds_tensor, value)))


def as_it_is(x: Tensor) -> Tensor:
    """Return ``x``."""
    return x


def add_up(terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of ``terms``. 16-bit terms are accumulated in float32, and the sum is rounded once."""
    total, dtype = None, torch.float64
    for term in terms:
        if total is None:
            total, dtype = term, term.dtype
            if dtype in HALF_PRECISIONS:
                total = term.to(torch.complex64 if dtype.is_complex else torch.float32)
        else:
            dtype = torch.promote_types(dtype, term.dtype)
            total = total + term
    assert total is not None
    return total.to(dtype)
