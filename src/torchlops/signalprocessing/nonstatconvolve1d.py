"""Convolution along one axis with filters that vary from sample to sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchlops.arrays import Array, DType, as_tensor
from torchlops.shapes import Dims, as_dims, as_integer, as_trailing_axis
from torchlops.signalprocessing._nonstationary import NonStationary, check_filters, filters_repr, regular_indices


class NonStationaryConvolve1D(NonStationary):
    r"""Convolution along one axis with a filter that varies from sample to sample.

    The filters ``hs`` are given at the samples ``ih``. In between they are interpolated linearly; before the first and
    after the last of ``ih`` the nearest filter is used. (In PyLops, the adjoint lacks the conjugate of complex
    filters.)

    Forward:
        .. math:: y_j = \sum_i h_i[j - i + c] \, x_i

        Sample :math:`x_i` is spread by the filter :math:`h_i`, whose middle tap ``c`` is at ``i``.

    Adjoint:
        .. math:: (A^H y)_i = \sum_j \overline{h_i[j - i + c]} \, y_j

    Args:
        dims: Shape of the model and of the data.
        hs: The filters ``(len(ih), n_h)``, with an odd number of taps.
        ih: Regularly sampled indices where the filters are given.
        axis: Axis along which to convolve.
        dtype: Nominal dtype of the operator, and dtype of ``hs`` if it is a list.
        name: A name for error messages.

    Attributes:
        hsize: Number of taps of a filter.
        oh: First of ``ih``.
        dh: Step of ``ih``.
        nh: Number of filters.
        eh: Last of ``ih``.

    Raises:
        ValueError: If there is not one filter per index in ``ih``, their length is even, or ``ih`` is not
            regularly sampled or exceeds the axis.
        TypeError: If ``ih`` contains fractions.

    Example:
        >>> import torch
        >>> hs = torch.tensor([[0.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
        >>> NonStationaryConvolve1D(5, hs, ih=(1, 3))(torch.ones(5))
        tensor([1.0000, 1.0000, 2.0000, 3.5000, 4.0000])
    """

    hs: Tensor

    def __init__(
        self, dims: Dims, hs: Array, ih: Sequence[int], axis: int = -1, dtype: DType = "float64", name: str = "C"
    ) -> None:
        dims = as_dims(dims)
        trailing = as_trailing_axis(axis, dims)
        size = dims[trailing]
        indices = regular_indices(ih, size, type(self).__name__, "ih")
        hs = as_tensor(hs, f"{type(self).__name__}: hs", dtype)
        (hsize,) = check_filters(hs.shape, {"ih": indices}, type(self).__name__)
        super().__init__(dims, dims, (1, size), ((0, 1, 1), indices), (1, hsize), dtype, name)
        self.axis, self.hsize = trailing, hsize
        self.oh, self.dh, self.nh = indices
        self.eh = self.oh + (self.nh - 1) * self.dh
        self._register("hs", hs)

    @property
    def hsinterp(self) -> Tensor:
        """The filters of all samples, ``(dims[axis], n_h)``."""
        return self._interpolated(self._filters())[0, :, 0]

    def _filters(self) -> Tensor:
        return self.hs[None, :, None]

    def _forward(self, x: Tensor) -> Tensor:
        return self._along_axis(self._convolve, x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._along_axis(self._convolve, y, True)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._along_axis(self._convolve_in_place, x, False)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._along_axis(self._convolve_in_place, y, True)

    def _along_axis(self, convolve: Any, x: Tensor, adjoint: bool) -> Tensor:
        y: Tensor = convolve(x.movedim(self.axis, -1).unsqueeze(-2), self._filters(), adjoint).squeeze(-2)
        return y if self.axis == -1 else y.movedim(-1, self.axis).contiguous()

    def extra_repr(self) -> str:
        axis = "" if len(self.dims) == 1 else f", axis={self.axis}"
        return filters_repr(self._indices[1:], (self.hsize,)) + axis


class NonStationaryFilters1D(NonStationary):
    r"""Nonstationary convolution of a given signal, as a linear operator on the filters.

    The model contains the filters at the samples ``ih``, from which the filters of all samples are interpolated
    linearly as in :class:`NonStationaryConvolve1D`. Complex signals, filters and data are supported (PyLops raises).

    Forward:
        .. math:: y_j = \sum_i h_i[j - i + c] \, \mathrm{inp}_i

    Adjoint:
        The data is correlated with the signal, :math:`\overline{\mathrm{inp}_i} \, y_{i + k - c}`, and each filter is
        assigned its share of every tap ``k``.

    Args:
        inp: The signal ``(n,)``.
        hsize: Number of taps of a filter, which must be odd.
        ih: Regularly sampled indices where the filters are defined.
        dtype: Nominal dtype of the operator, and dtype of ``inp`` if it is a list.
        name: A name for error messages.

    Models have shape ``(len(ih), hsize)``, data ``(n,)``.

    Raises:
        ValueError: If ``inp`` is not one-dimensional, ``hsize`` is even, or ``ih`` is not regularly sampled or exceeds
            the signal.
        TypeError: If ``ih`` contains fractions.

    Example:
        >>> import torch
        >>> A = NonStationaryFilters1D(torch.ones(5), hsize=3, ih=(1, 3))
        >>> A(torch.tensor([[0.0, 1.0, 0.0], [0.0, 3.0, 1.0]]))
        tensor([1.0000, 1.0000, 2.0000, 3.5000, 4.0000])
    """

    inp: Tensor

    def __init__(self, inp: Array, hsize: int, ih: Sequence[int], dtype: DType = "float64", name: str = "C") -> None:
        inp = as_tensor(inp, f"{type(self).__name__}: inp", dtype)
        if inp.ndim != 1:
            raise ValueError(f"{type(self).__name__}: inp must be one-dimensional, got shape {tuple(inp.shape)}")
        (size,) = inp.shape
        indices = regular_indices(ih, size, type(self).__name__, "ih")
        hsize = as_integer(hsize, f"{type(self).__name__}: hsize", least=1)
        dims = (indices[2], hsize)
        check_filters(dims, {"ih": indices}, type(self).__name__)
        super().__init__(dims, size, (1, size), ((0, 1, 1), indices), (1, hsize), dtype, name)
        self.hsize = hsize
        self.oh, self.dh, self.nh = indices
        self.eh = self.oh + (self.nh - 1) * self.dh
        self._register("inp", inp)

    def _forward(self, x: Tensor) -> Tensor:
        return self._convolve(self.inp[None], x.unsqueeze(-2).unsqueeze(-4), False).squeeze(-2)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._correlate(y.unsqueeze(-2), self.inp[None]).squeeze(-2).squeeze(-3)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._convolve_in_place(self.inp[None], x.unsqueeze(-2).unsqueeze(-4), False).squeeze(-2)

    _fast_adjoint = _adjoint

    def extra_repr(self) -> str:
        return filters_repr(self._indices[1:], (self.hsize,))
