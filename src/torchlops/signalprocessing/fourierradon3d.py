"""Frequency-domain Radon transform in time and two spatial axes."""

from __future__ import annotations

from collections.abc import Sequence

from torchlops.arrays import Array, DType
from torchlops.attributes import Computed
from torchlops.basicoperators._positions import Positions, step_of
from torchlops.shapes import accept_pylops_options, as_engine
from torchlops.signalprocessing._fourierradon import FourierRadon


class FourierRadon3D(FourierRadon):
    r"""Linear or parabolic Radon transform in time and two spatial axes, computed in the frequency domain.

    The axes are summed one after the other, at a cost of ``npy * npx * nhx + npy * nhy * nhx`` operations per frequency
    (in PyLops, the product of all four sizes). Otherwise the operator is the same as :class:`FourierRadon2D`.

    Forward:
        .. math::

            Y(h_y, h_x, f) = \sum_{p_y} e^{-2 \pi i f p_y h_y^{l_y}}
                \sum_{p_x} e^{-2 \pi i f p_x h_x^{l_x}} X(p_y, p_x, f)

    Adjoint:
        .. math::

            (A^H Y)(p_y, p_x, f) = \sum_{h_x} e^{2 \pi i f p_x h_x^{l_x}}
                \sum_{h_y} e^{2 \pi i f p_y h_y^{l_y}} Y(h_y, h_x, f)

    Args:
        taxis: Time axis, with at least two regularly spaced samples.
        hyaxis: Slow spatial axis; it may be irregular.
        hxaxis: Fast spatial axis; it may be irregular.
        pyaxis: Parameters along the slow axis, in units of ``taxis`` per unit of ``hyaxis`` (squared, if parabolic).
        pxaxis: Parameters along the fast axis.
        nfft: Number of samples of the FFT, at least ``len(taxis)``.
        flims: Indices of the frequencies to use, ``(first, last)`` with ``last`` excluded. Defaults to all.
        kind: ``"linear"`` or ``"parabolic"``, one for the slow and one for the fast axis.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        num_threads_per_blocks: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Models have shape ``(npy, npx, nt)``, data ``(nhy, nhx, nt)``. An axis that is a tensor carries gradients and
    affects the dtype of the result; an array does neither.

    Attributes:
        f: The frequencies.

    Raises:
        ValueError: If ``kind`` is unknown, ``nfft`` is too small, or ``flims`` is out of range.

    Example:
        >>> import torch
        >>> R = FourierRadon3D(range(3), range(2), range(2), [0.0], [0.0, 1.0], nfft=6)
        >>> R(torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])).round(decimals=4).abs()
        tensor([[[2., 1., 0.],
                 [2., 0., 1.]],
                [[2., 1., 0.],
                 [2., 0., 1.]]])
    """

    hyaxis, hxaxis, pyaxis, pxaxis = Positions(), Positions(), Positions(), Positions()
    py = Computed(lambda self: self.pyaxis)
    px = Computed(lambda self: self.pxaxis)
    npy = Computed(lambda self: self.dims[0])
    npx = Computed(lambda self: self.dims[1])
    nhy = Computed(lambda self: self.dimsd[0])
    nhx = Computed(lambda self: self.dimsd[1])
    dhy = Computed(lambda self: step_of(self.hyaxis))
    dhx = Computed(lambda self: step_of(self.hxaxis))

    def __init__(
        self,
        taxis: Array,
        hyaxis: Array,
        hxaxis: Array,
        pyaxis: Array,
        pxaxis: Array,
        nfft: int,
        flims: tuple[int, int] | None = None,
        kind: Sequence[str] = ("linear", "linear"),
        engine: str = "numpy",
        num_threads_per_blocks: tuple[int, int, int] = (2, 16, 16),
        dtype: DType = "float64",
        name: str = "R",
    ) -> None:
        self.engine = as_engine(engine)
        accept_pylops_options(num_threads_per_blocks=num_threads_per_blocks)
        if isinstance(kind, str) or len(kind) != 2:
            raise ValueError(f"FourierRadon3D takes one kind for the slow and one for the fast axis, got {kind!r}")
        names = ("hyaxis", "hxaxis", "pyaxis", "pxaxis")
        super().__init__(taxis, (hyaxis, hxaxis), (pyaxis, pxaxis), names, nfft, flims, kind, dtype, name)
