"""Fredholm integral of the first kind."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from torchlops.arraykernels import view_of
from torchlops.arrays import Array, DType, as_tensor, to_numpy
from torchlops.attributes import Computed
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import PER_SAMPLE, accept_pylops_options, as_dims
from torchlops.signalprocessing._slices import multiply_adjoint, multiply_items, multiply_slices


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
        >>> import torch
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
        return multiply_slices(self.G, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return multiply_adjoint(multiply_slices, self.G, y)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return multiply_items(self.G, x)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return multiply_adjoint(multiply_items, self.G, y)

    def _array_kernel(self, x: NDArray[Any], adjoint: bool) -> NDArray[Any]:
        G = view_of(self, "G")
        result: NDArray[Any] = (G.swapaxes(-1, -2).conj() if adjoint else G) @ x
        return result

    def extra_repr(self) -> str:
        return f"G={tuple(self.G.shape)}, nz={self.nz}"
