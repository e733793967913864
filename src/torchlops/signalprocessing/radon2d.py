"""The Radon transform of time and one spatial axis."""

from __future__ import annotations

from typing import Any

from torchlops.arrays import DType
from torchlops.shapes import accept_pylops_options
from torchlops.signalprocessing._radon import Kind, RadonTransform


class Radon2D(RadonTransform):
    r"""Radon transform in time and space: samples are spread along curves, the adjoint stacks along them.

    .. math::

        y(h, f(h, t, p)) \mathrel{+}= x(p, t), \qquad (A^H y)(p, t) = \sum_h y(h, f(h, t, p))

    with the curve

    ================ ============================================
    kind             :math:`f(h, t, p)`
    ================ ============================================
    ``"linear"``     :math:`t + p h`
    ``"parabolic"``  :math:`t + p h^2`
    ``"hyperbolic"`` :math:`\sqrt{t^2 + (h / p)^2}`
    ================ ============================================

    in samples: :math:`h` is divided by its step :math:`\Delta h`, :math:`t` by its step :math:`\Delta t`, and
    ``pxaxis`` is multiplied by :math:`\Delta h / \Delta t`. So a linear ``pxaxis`` is in time per length. For the
    other kinds multiply it beforehand, by :math:`\Delta h` for parabolas and by :math:`(\Delta t / \Delta h)^2` for
    hyperbolas. Where a curve leaves the data, nothing is spread.

    Linear and parabolic curves need a delay for each pair of a curve and a trace, and no table. The others have a
    table of indices (and weights) ``(npx, nt, nh)``, or, with ``onthefly=True`` or an axis that is a tensor, compute
    it in the call.

    Args:
        taxis: Time axis, of two regular samples at least.
        haxis: Spatial axis, of two samples at least.
        pxaxis: Parameters of the curves.
        kind: Kind of curve; or a function ``f(h, t, p)`` that works element by element on arrays that broadcast, in
            samples (on tensors, where curves are computed in the call).
        centeredh: Whether :math:`h` is counted from the middle of the axis, whatever ``haxis`` says.
        interp: Whether a sample is shared out between the two samples of the trace that the curve passes between, or
            given to the first of them.
        onthefly: Whether curves that need a table are computed in every call, to save its memory.
        engine: See :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Label of the operator.
        name: A name for errors.

    Models are ``(npx, nt)``, data ``(nh, nt)``. An axis that is a tensor carries gradients (with ``interp=True``,
    where the result is continuous in it) and takes part in the dtype of the result; an array does neither.

    Raises:
        ValueError: when ``kind`` is not known or returns a wrong shape, or an axis is too short.

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
        taxis: Any,
        haxis: Any,
        pxaxis: Any,
        kind: Kind = "linear",
        centeredh: bool = True,
        interp: bool = True,
        onthefly: bool = False,
        engine: str = "numpy",
        dtype: DType = "float64",
        name: str = "R",
    ) -> None:
        accept_pylops_options(engine=engine)
        names = ("haxis", "pxaxis")
        super().__init__(taxis, (haxis,), (pxaxis,), names, kind, centeredh, interp, onthefly, dtype, name)
