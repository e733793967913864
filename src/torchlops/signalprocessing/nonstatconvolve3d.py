"""Convolution along three axes with filters that vary from sample to sample."""

from __future__ import annotations

from collections.abc import Sequence

from torchlops.arrays import Array, DType
from torchlops.shapes import Dims, accept_pylops_options, as_engine
from torchlops.signalprocessing._nonstationary import NonStationaryConvolution


class NonStationaryConvolve3D(NonStationaryConvolution):
    r"""Convolution along three axes with a filter that varies from sample to sample.

    The filters ``hs`` are given at the samples ``ihx``, ``ihy`` and ``ihz``. In between they are interpolated
    trilinearly; outside, the nearest filter is used. (In PyLops, the adjoint lacks the conjugate of complex filters.)

    Forward:
        .. math:: y_j = \sum_i h_i[j - i + c] \, x_i

        where ``i``, ``j`` and the middle tap ``c`` have one index per axis.

    Adjoint:
        .. math:: (A^H y)_i = \sum_j \overline{h_i[j - i + c]} \, y_j

    Args:
        dims: Shape ``(nx, ny, nz)`` of the model and of the data.
        hs: The filters ``(len(ihx), len(ihy), len(ihz), n_hx, n_hy, n_hz)``, with odd numbers of taps.
        ihx: Regularly sampled indices along the first axis where the filters are given.
        ihy: Indices along the second axis.
        ihz: Indices along the third axis.
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
        ohy: First of ``ihy``, and so on.

    Raises:
        ValueError: If there is not one filter per triple of indices, a length is even, or the indices are not
            regularly sampled or exceed an axis.
        TypeError: If an index is a fraction.

    Example:
        >>> import torch
        >>> hs = torch.ones(1, 1, 2, 1, 1, 3) * torch.tensor([1.0, 3.0])[:, None, None, None]
        >>> A = NonStationaryConvolve3D((1, 1, 4), hs, ihx=(0,), ihy=(0,), ihz=(1, 2))
        >>> A(torch.tensor([[[1.0, 0.0, 0.0, 1.0]]]))
        tensor([[[1., 1., 3., 3.]]])
    """

    def __init__(
        self,
        dims: Dims,
        hs: Array,
        ihx: Sequence[int],
        ihy: Sequence[int],
        ihz: Sequence[int],
        engine: str = "numpy",
        num_threads_per_blocks: tuple[int, int, int] = (2, 16, 16),
        dtype: DType = "float64",
        name: str = "C",
    ) -> None:
        self.engine = as_engine(engine)
        accept_pylops_options(num_threads_per_blocks=num_threads_per_blocks)
        super().__init__(dims, hs, {"ihx": ihx, "ihy": ihy, "ihz": ihz}, dtype, name)
        (self.ohx, self.dhx, self.nhx), (self.ohy, self.dhy, self.nhy), (self.ohz, self.dhz, self.nhz) = self._indices
        self.ehx, self.ehy, self.ehz = self._ends()
