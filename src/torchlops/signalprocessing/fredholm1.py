"""Fredholm integral of the first kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import view_of
from torchlops.arrays import Array, DType, as_tensor, conjugate, to_numpy
from torchlops.attributes import Computed
from torchlops.linearoperator import LinearOperator
from torchlops.memory import empty
from torchlops.shapes import PER_SAMPLE, accept_pylops_options, as_dims


class Fredholm1(LinearOperator):
    r"""Fredholm integral of the first kind: one matrix product per slice, for example per frequency.

    Forward:
        .. math:: y_{kxz} = \sum_y G_{kxy} \, m_{kyz}

    Adjoint:
        .. math:: (A^H d)_{kyz} = \sum_x \overline{G_{kxy}} \, d_{kxz}

    Args:
        G: The kernel ``(n_slice, n_x, n_y)``.
        nz: Number of samples of the third axis of the model.
        saveGt: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`: the adjoint needs no
            second kernel here.
        usematmul: Likewise.
        dtype: Nominal dtype of the operator, and dtype of ``G`` if it is a list.
        name: A name for error messages.

    Models have shape ``(n_slice, n_y, nz)``, data ``(n_slice, n_x, nz)``. (PyLops raises for ``n_y = 1`` with ``nz >
    1``.)

    Attributes:
        nsl: Number of slices.
        nx: Number of rows of the kernel of a slice.
        ny: Number of columns of the kernel of a slice.

    Raises:
        ValueError: If ``G`` does not have three axes.

    Example:
        >>> F = Fredholm1(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]))
        >>> F(torch.ones(2, 2, 1)).flatten()
        tensor([3., 7.])
    """

    GT = Computed(lambda self: to_numpy(self.G.mH))

    G: Tensor

    def __init__(
        self,
        G: Array,
        nz: int = 1,
        saveGt: bool = True,
        usematmul: bool = True,
        dtype: DType = "float64",
        name: str = "F",
    ) -> None:
        accept_pylops_options(saveGt=saveGt, usematmul=usematmul)
        G = as_tensor(G, "Fredholm1: G", dtype)
        if G.ndim != 3:
            raise ValueError(
                f"Fredholm1: G must have three axes (slices, rows, columns), got shape {tuple(G.shape)}. {PER_SAMPLE}"
            )
        (nz,) = as_dims(nz, "nz")
        super().__init__((G.shape[0], G.shape[2], nz), (G.shape[0], G.shape[1], nz), dtype=dtype, name=name)
        self.nz = nz
        self.nsl, self.nx, self.ny = G.shape
        self._register("G", G)

    def _forward(self, x: Tensor) -> Tensor:
        return self._multiply(self.G, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._multiply_adjoint(self._multiply, y)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._multiply_items(self.G, x)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._multiply_adjoint(self._multiply_items, y)

    def _multiply_adjoint(self, multiply: Callable[[Tensor, Tensor], Tensor], y: Tensor) -> Tensor:
        """Return ``G^H y``, computed as ``conj(G^T conj(y))`` if conjugating the data is cheaper than the kernel."""
        if self.nz * (self.nx + self.ny) < self.nx * self.ny:
            return conjugate(multiply(self.G.mT, conjugate(y)))
        return multiply(conjugate(self.G).mT, y)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        G = view_of(self, "G")
        result: NDArray[Any] = (G.swapaxes(-1, -2).conj() if adjoint else G) @ x
        return result

    def _multiply(self, kernel: Tensor, x: Tensor) -> Tensor:
        """Return the product in each slice, with the whole batch in the rows or columns of one matrix per slice."""
        dtype = torch.promote_types(x.dtype, kernel.dtype)
        kernel, x = kernel.to(dtype), x.to(dtype)
        batch = x.shape[: x.ndim - 3]
        items, (slices, nx, ny), nz = math.prod(batch), kernel.shape, self.nz
        x = x.reshape(items, slices, ny, nz)
        if nz == 1:  # no copy, neither before nor after
            y = torch.bmm(x.squeeze(-1).transpose(0, 1), kernel.mT).transpose(0, 1)
        else:
            y = torch.bmm(kernel, x.permute(1, 2, 0, 3).reshape(slices, ny, items * nz))
            y = y.reshape(slices, nx, items, nz).permute(2, 0, 1, 3)
        return y.reshape((*batch, slices, nx, nz)).contiguous()

    def _multiply_items(self, kernel: Tensor, x: Tensor) -> Tensor:
        """Return the result of :meth:`_multiply`, without copies if the items of the batch are large."""
        if self.nz < 64 or math.prod(x.shape[-3:]) < 1 << 14:
            return self._multiply(kernel, x)
        dtype = torch.promote_types(x.dtype, kernel.dtype)
        kernel, x = kernel.to(dtype), x.to(dtype)
        y = empty((*x.shape[:-3], *kernel.shape[:2], self.nz), dtype)
        for item, result in zip(x.flatten(0, -4) if x.ndim > 3 else x[None], y.view(-1, *y.shape[-3:]), strict=True):
            torch.bmm(kernel, item, out=result)
        return y

    def extra_repr(self) -> str:
        return f"G={tuple(self.G.shape)}, nz={self.nz}"
