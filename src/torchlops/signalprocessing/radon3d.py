"""Radon transform in time and two spatial axes."""

from __future__ import annotations

from torchlops.arrays import Array, DType
from torchlops.shapes import as_engine
from torchlops.signalprocessing._radon import Kind, RadonTransform


class Radon3D(RadonTransform):
    r"""Radon transform in time and two spatial axes.

    Otherwise the operator is the same as :class:`Radon2D`.

    Forward:
        .. math:: y(h_y, h_x, f) \mathrel{+}= x(p_y, p_x, t)

        with the surface

        ================ ================================================================
        kind             :math:`f(h_y, h_x, t, p_y, p_x)`
        ================ ================================================================
        ``"linear"``     :math:`t + p_x h_x + p_y h_y`
        ``"parabolic"``  :math:`t + p_x h_x^2 + p_y h_y^2`
        ``"hyperbolic"`` :math:`\sqrt{t^2 + (h_x / p_x)^2 + (h_y / p_y)^2}`
        ================ ================================================================

        in samples.

    Adjoint:
        .. math:: (A^H y)(p_y, p_x, t) = \sum_{h_y, h_x} y(h_y, h_x, f)

    Args:
        taxis: Time axis, with at least two regularly spaced samples.
        hyaxis: Slow spatial axis, with at least two samples.
        hxaxis: Fast spatial axis, with at least two samples.
        pyaxis: Parameters along the slow axis.
        pxaxis: Parameters along the fast axis.
        kind: Kind of surface, or an elementwise function ``f(hy, hx, t, py, px)`` of broadcastable arrays in samples
            (of tensors, if surfaces are computed in each call).
        centeredh: Whether :math:`h_y` and :math:`h_x` are measured from the middle of their axes.
        interp: Whether to interpolate linearly between the two samples of a trace around the surface, instead of using
            the first of them.
        onthefly: Whether surfaces that need a table are computed in each call, which saves memory.
        engine: Accepted for compatibility; see :func:`~torchlops.shapes.as_engine`.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Models have shape ``(npy * npx, nt)``, data ``(nhy * nhx, nt)``, as in PyLops. An axis that is a tensor carries
    gradients (with ``interp=True``) and affects the dtype of the result; an array does neither.

    Raises:
        ValueError: If ``kind`` is unknown or returns the wrong shape, or an axis is too short.

    Example:
        >>> import torch
        >>> R = Radon3D(range(3), range(2), range(2), [0.0], [0.0, 1.0], interp=False, centeredh=False)
        >>> R(torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
        tensor([[2., 1., 0.],
                [2., 0., 1.],
                [2., 1., 0.],
                [2., 0., 1.]])
    """

    def __init__(
        self,
        taxis: Array,
        hyaxis: Array,
        hxaxis: Array,
        pyaxis: Array,
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
        names = ("hyaxis", "hxaxis", "pyaxis", "pxaxis")
        super().__init__(
            taxis, (hyaxis, hxaxis), (pyaxis, pxaxis), names, kind, centeredh, interp, onthefly, dtype, name
        )
