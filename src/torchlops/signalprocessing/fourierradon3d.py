"""The Radon transform of time and two spatial axes, by frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchlops.arrays import DType
from torchlops.shapes import accept_pylops_options
from torchlops.signalprocessing._fourierradon import FourierRadon


class FourierRadon3D(FourierRadon):
    r"""Linear or parabolic Radon transform in time and two spatial axes, as products at each frequency.

    .. math::

        Y(h_y, h_x, f) = \sum_{p_y} e^{-2 \pi i f p_y h_y^{l_y}} \sum_{p_x} e^{-2 \pi i f p_x h_x^{l_x}} X(p_y, p_x, f)

    and the adjoint with the conjugate factors. One axis is summed up after the other, which costs
    ``npy * npx * nhx + npy * nhy * nhx`` at each frequency, the product of all four sizes in PyLops. The rest is as in
    :class:`FourierRadon2D`.

    Args:
        taxis: Time axis, of two regular samples at least.
        hyaxis: Slow spatial axis; it need not be regular.
        hxaxis: Fast spatial axis; it need not be regular.
        pyaxis: Parameters along the slow axis, in units of ``taxis`` by units of ``hyaxis`` (squared, if parabolic).
        pxaxis: Parameters along the fast axis.
        nfft: Number of samples of the FFT, ``len(taxis)`` at least.
        flims: Indices of the first frequency that is used and of the one behind the last; all by default.
        kind: ``"linear"`` or ``"parabolic"``, along the slow and the fast axis.
        engine: See :func:`~torchlops.shapes.accept_pylops_options`.
        num_threads_per_blocks: See :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Label of the operator.
        name: A name for errors.

    Models are ``(npy, npx, nt)``, data ``(nhy, nhx, nt)``. An axis that is a tensor carries gradients and takes part
    in the dtype of the result; an array does neither.

    Attributes:
        f: The frequencies.

    Raises:
        ValueError: when ``kind`` is another, or ``nfft`` or ``flims`` do not fit.

    Example:
        >>> import torch
        >>> R = FourierRadon3D(range(3), range(2), range(2), [0.0], [0.0, 1.0], nfft=6)
        >>> R(torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])).round(decimals=4).abs()
        tensor([[[2., 1., 0.],
                 [2., 0., 1.]],
                [[2., 1., 0.],
                 [2., 0., 1.]]])
    """

    def __init__(
        self,
        taxis: Any,
        hyaxis: Any,
        hxaxis: Any,
        pyaxis: Any,
        pxaxis: Any,
        nfft: int,
        flims: tuple[int, int] | None = None,
        kind: Sequence[str] = ("linear", "linear"),
        engine: str = "numpy",
        num_threads_per_blocks: tuple[int, int, int] = (2, 16, 16),
        dtype: DType = "float64",
        name: str = "R",
    ) -> None:
        accept_pylops_options(engine=engine, num_threads_per_blocks=num_threads_per_blocks)
        if isinstance(kind, str) or len(kind) != 2:
            raise ValueError(f"FourierRadon3D takes one kind for the slow and one for the fast axis, got {kind!r}")
        names = ("hyaxis", "hxaxis", "pyaxis", "pxaxis")
        super().__init__(taxis, (hyaxis, hxaxis), (pyaxis, pxaxis), names, nfft, flims, kind, dtype, name)
