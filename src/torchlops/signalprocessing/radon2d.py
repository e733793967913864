"""Radon transform in time and one spatial axis."""

from __future__ import annotations

from torchlops.arrays import Array, DType
from torchlops.shapes import as_engine
from torchlops.signalprocessing._radon import Kind, RadonTransform


class Radon2D(RadonTransform):
    r"""Radon transform in time and space: the forward spreads samples along curves, the adjoint stacks along them.

    Linear and parabolic curves need only one delay for each pair of a curve and a trace. The others use a table of
    indices (and weights) ``(npx, nt, nh)``, which is computed in each call if ``onthefly=True`` or an axis is a tensor.

    Forward:
        .. math:: y(h, f(h, t, p)) \mathrel{+}= x(p, t)

        with the curve

        ================ ============================================
        kind             :math:`f(h, t, p)`
        ================ ============================================
        ``"linear"``     :math:`t + p h`
        ``"parabolic"``  :math:`t + p h^2`
        ``"hyperbolic"`` :math:`\sqrt{t^2 + (h / p)^2}`
        ================ ============================================

        in samples: :math:`h` is divided by its step :math:`\Delta h`, :math:`t` by its step :math:`\Delta t`, and
        ``pxaxis`` is multiplied by :math:`\Delta h / \Delta t`. A linear ``pxaxis`` is thus in time per length. For the
        other kinds, multiply it beforehand by :math:`\Delta h` for parabolas and by :math:`(\Delta t / \Delta h)^2` for
        hyperbolas. Parts of a curve outside of the data are skipped.

    Adjoint:
        .. math:: (A^H y)(p, t) = \sum_h y(h, f(h, t, p))

    Args:
        taxis: Time axis, with at least two regularly spaced samples.
        haxis: Spatial axis, with at least two samples.
        pxaxis: Parameters of the curves.
        kind: Kind of curve, or an elementwise function ``f(h, t, p)`` of broadcastable arrays in samples (of tensors,
            if curves are computed in each call).
        centeredh: Whether :math:`h` is measured from the middle of the axis, regardless of the values of ``haxis``.
        interp: Whether to interpolate linearly between the two samples of a trace around the curve, instead of using
            the first of them.
        onthefly: Whether curves that need a table are computed in each call, which saves memory.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Models have shape ``(npx, nt)``, data ``(nh, nt)``. An axis that is a tensor carries gradients (with
    ``interp=True``, where the result is continuous in it) and affects the dtype of the result; an array does neither.

    Raises:
        ValueError: If ``kind`` is unknown or returns the wrong shape, or an axis is too short.

    References:
        J. R. Thorson, J. F. Claerbout, Velocity-stack and slant-stack stochastic inversion, Geophysics 50 (1985),
        2727-2741.

    Example:
        >>> import torch
        >>> R = Radon2D(range(4), range(3), [0, 1], interp=False)  # one flat and one dipping line
        >>> R(torch.tensor([[0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, 0.0]]))
        tensor([[1., 0., 0., 2.],
                [0., 1., 0., 2.],
                [0., 0., 1., 2.]])
    """

    def __init__(
        self,
        taxis: Array,
        haxis: Array,
        pxaxis: Array,
        kind: Kind = "linear",
        centeredh: bool = True,
        interp: bool = True,
        onthefly: bool = False,
        engine: str = "numpy",
        dtype: DType = "float64",
        name: str = "R",
    ) -> None:
        self.engine = as_engine(engine)
        names = ("haxis", "pxaxis")
        super().__init__(taxis, (haxis,), (pxaxis,), names, kind, centeredh, interp, onthefly, dtype, name)
