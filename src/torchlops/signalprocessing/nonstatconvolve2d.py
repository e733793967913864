"""Convolution along two axes with filters that vary from sample to sample."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from torchlops.arrays import Array, DType, as_tensor
from torchlops.shapes import Dims, accept_pylops_options, as_dims, as_engine
from torchlops.signalprocessing._nonstationary import (
    NonStationary,
    NonStationaryConvolution,
    check_filters,
    filters_repr,
    regular_indices,
)


class NonStationaryConvolve2D(NonStationaryConvolution):
    r"""Convolution along two axes with a filter that varies from sample to sample.

    The filters ``hs`` are given at the samples ``ihx`` and ``ihz``. In between they are interpolated bilinearly;
    outside, the nearest filter is used. (In PyLops, the adjoint lacks the conjugate of complex filters.)

    Forward:
        .. math:: y_j = \sum_i h_i[j - i + c] \, x_i

        where ``i``, ``j`` and the middle tap ``c`` have one index per axis.

    Adjoint:
        .. math:: (A^H y)_i = \sum_j \overline{h_i[j - i + c]} \, y_j

    Args:
        dims: Shape ``(nx, nz)`` of the model and of the data.
        hs: The filters ``(len(ihx), len(ihz), n_hx, n_hz)``, with odd numbers of taps.
        ihx: Regularly sampled indices along the first axis where the filters are given.
        ihz: Indices along the second axis.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        num_threads_per_blocks: Likewise.
        dtype: Nominal dtype of the operator, and dtype of ``hs`` if it is a list.
        name: A name for error messages.

    Attributes:
        hshape: Shape of a filter.
        ohx: First of ``ihx``.
        dhx: Step of ``ihx``.
        nhx: Number of filters along the first axis.
        ehx: Last of ``ihx``.
        ohz: First of ``ihz``, and so on.

    Raises:
        ValueError: If there is not one filter per pair of indices, a length is even, or the indices are not
            regularly sampled or exceed an axis.
        TypeError: If an index is a fraction.

    Example:
        >>> import torch
        >>> hs = torch.ones(1, 2, 1, 3) * torch.tensor([1.0, 3.0])[:, None, None]
        >>> NonStationaryConvolve2D((1, 4), hs, ihx=(0,), ihz=(1, 2))(torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
        tensor([[1., 1., 3., 3.]])
    """

    def __init__(
        self,
        dims: Dims,
        hs: Array,
        ihx: Sequence[int],
        ihz: Sequence[int],
        engine: str = "numpy",
        num_threads_per_blocks: tuple[int, int] = (32, 32),
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        self.engine = as_engine(engine)
        accept_pylops_options(num_threads_per_blocks=num_threads_per_blocks)
        super().__init__(dims, hs, {"ihx": ihx, "ihz": ihz}, dtype, name)
        (self.ohx, self.dhx, self.nhx), (self.ohz, self.dhz, self.nhz) = self._indices
        self.ehx, self.ehz = self._ends()


class NonStationaryFilters2D(NonStationary):
    r"""Nonstationary convolution of a given two-dimensional signal, as a linear operator on the filters.

    The model contains the filters at ``ihx`` and ``ihz``, from which the filters of all samples are interpolated
    bilinearly as in :class:`NonStationaryConvolve2D`. Complex signals, filters and data are supported (PyLops raises).

    Forward:
        .. math:: y_j = \sum_i h_i[j - i + c] \, \mathrm{inp}_i

    Adjoint:
        The data is correlated with the signal, :math:`\overline{\mathrm{inp}_i} \, y_{i + k - c}`, and each filter is
        assigned its share of every tap ``k``.

    Args:
        inp: The signal ``(nx, nz)``.
        hshape: Shape ``(n_hx, n_hz)`` of a filter; both lengths must be odd.
        ihx: Regularly sampled indices along the first axis where the filters are defined.
        ihz: Indices along the second axis.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        num_threads_per_blocks: Likewise.
        dtype: Nominal dtype of the operator, and dtype of ``inp`` if it is a list.
        name: A name for error messages.

    Models have shape ``(len(ihx), len(ihz), n_hx, n_hz)``, data ``(nx, nz)``.

    Raises:
        ValueError: If ``inp`` is not two-dimensional, a length is even, or the indices are not regularly sampled
            or exceed an axis.
        TypeError: If an index is a fraction.

    Example:
        >>> import torch
        >>> A = NonStationaryFilters2D(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), (1, 3), ihx=(0,), ihz=(1, 2))
        >>> A(torch.ones(1, 2, 1, 3) * torch.tensor([1.0, 3.0])[:, None, None])
        tensor([[1., 1., 3., 3.]])
    """

    inp: Tensor

    def __init__(
        self,
        inp: Array,
        hshape: Sequence[int],
        ihx: Sequence[int],
        ihz: Sequence[int],
        engine: str = "numpy",
        num_threads_per_blocks: tuple[int, int] = (32, 32),
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        self.engine = as_engine(engine)
        accept_pylops_options(num_threads_per_blocks=num_threads_per_blocks)
        operator = type(self).__name__
        inp = as_tensor(inp, f"{operator}: inp", dtype)
        if inp.ndim != 2:
            raise ValueError(f"{operator}: inp must be two-dimensional, got shape {tuple(inp.shape)}")
        known = {
            "ihx": regular_indices(ihx, inp.shape[0], operator, "ihx"),
            "ihz": regular_indices(ihz, inp.shape[1], operator, "ihz"),
        }
        dims = tuple(number for _, _, number in known.values()) + as_dims(hshape, f"{operator}: hshape")
        odd_hshape = check_filters(dims, known, operator, "with hshape")
        super().__init__(dims, inp.shape, inp.shape, tuple(known.values()), odd_hshape, dtype, name)
        self.hshape = odd_hshape
        (self.ohx, self.dhx, self.nhx), (self.ohz, self.dhz, self.nhz) = self._indices
        self.ehx, self.ehz = self._ends()
        self._register("inp", inp)

    def _forward(self, x: Tensor) -> Tensor:
        return self._convolve(self.inp, x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._correlate(y, self.inp)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._convolve_in_place(self.inp, x, False)

    _fast_adjoint = _adjoint

    def extra_repr(self) -> str:
        return filters_repr(self._indices, self.hshape)
