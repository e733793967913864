"""The identity, possibly between spaces of different sizes."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import resized
from torchlops.arrays import DType
from torchlops.attributes import Computed
from torchlops.basicoperators._resize import resize
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, accept_pylops_options, as_dims


class Identity(LinearOperator):
    """The identity, which pads with zeros if the data is larger than the model.

    Forward:
        .. math:: y_i = x_i

        Samples of the data beyond the model are zero, and samples of the model beyond the data are cut off.

    Adjoint:
        .. math:: (A^H y)_i = y_i

        Samples of the model beyond the data are zero, and samples of the data beyond the model are cut off.

    Args:
        N: Shape of the data, an integer or a sequence.
        M: Shape of the model, with the same number of axes as ``N``. Defaults to ``N``.
        inplace: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`. The output never
            aliases the input.
        forceflat: Whether ``A @ x`` is always flat; see :class:`~torchlops.attributes.Attributes`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``N`` and ``M`` have different numbers of axes, or ``N`` is larger than ``M`` along one axis and
            smaller along another.

    Example:
        >>> import torch
        >>> Identity(4, 2)(torch.tensor([1.0, 2.0]))
        tensor([1., 2., 0., 0.])
    """

    complex = Computed(lambda self: self.dtype.kind == "c")
    mode = Computed(
        lambda self: "same" if self.dims == self.dimsd else "data" if self.shape[0] > self.shape[1] else "model"
    )

    def __init__(
        self,
        N: Dims,
        M: Dims | None = None,
        inplace: bool = True,
        forceflat: bool | None = None,
        dtype: DType = "float64",
        name: str = "I",
    ) -> None:
        accept_pylops_options(inplace=inplace)
        dimsd = as_dims(N, "N")
        dims = dimsd if M is None else as_dims(M, "M")
        larger = [n > m for n, m in zip(dimsd, dims, strict=False)]
        smaller = [n < m for n, m in zip(dimsd, dims, strict=False)]
        if len(dims) != len(dimsd) or (any(larger) and any(smaller)):
            raise ValueError(
                "Identity takes N and M with the same number of axes, one of them at least as large as the other along "
                f"every axis, got N={N}, M={M}"
            )
        super().__init__(dims, dimsd, dtype=dtype, forceflat=forceflat, name=name)

    def _forward(self, x: Tensor) -> Tensor:
        return resize(x, self.dims, self.dimsd)

    def _adjoint(self, y: Tensor) -> Tensor:
        return resize(y, self.dimsd, self.dims)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        return resized(x, self.dims if adjoint else self.dimsd)

    def _inverse(self, y: Tensor) -> Tensor:
        if self.dims != self.dimsd:
            raise NotImplementedError(f"{self.name_and_type}: only a square identity has an inverse")
        return y.clone()

    def _is_identity(self) -> bool:
        return self.dims == self.dimsd
