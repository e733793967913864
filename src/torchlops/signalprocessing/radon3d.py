"""The Radon transform of time and two spatial axes."""

from __future__ import annotations

from typing import Any

from torchlops.arrays import DType
from torchlops.shapes import accept_pylops_options
from torchlops.signalprocessing._radon import Kind, RadonTransform


class Radon3D(RadonTransform):
    r"""Radon transform in time and two spatial axes.

    .. math::

        y(h_y, h_x, f) \mathrel{+}= x(p_y, p_x, t), \qquad
        (A^H y)(p_y, p_x, t) = \sum_{h_y, h_x} y(h_y, h_x, f)

    with the surface

    ================ ================================================================
    kind             :math:`f(h_y, h_x, t, p_y, p_x)`
    ================ ================================================================
    ``"linear"``     :math:`t + p_x h_x + p_y h_y`
    ``"parabolic"``  :math:`t + p_x h_x^2 + p_y h_y^2`
    ``"hyperbolic"`` :math:`\sqrt{t^2 + (h_x / p_x)^2 + (h_y / p_y)^2}`
    ================ ================================================================

    in samples. The rest is as in :class:`Radon2D`.

    Args:
        taxis: Time axis, of two regular samples at least.
        hyaxis: Slow spatial axis, of two samples at least.
        hxaxis: Fast spatial axis, of two samples at least.
        pyaxis: Parameters along the slow axis.
        pxaxis: Parameters along the fast axis.
        kind: Kind of surface; or a function ``f(hy, hx, t, py, px)`` that works element by element on arrays that
            broadcast, in samples (on tensors, where surfaces are computed in the call).
        centeredh: Whether :math:`h_y` and :math:`h_x` are counted from the middle of their axes.
        interp: Whether a sample is shared out between the two samples of the trace that the surface passes between,
            or given to the first of them.
        onthefly: Whether surfaces that need a table are computed in every call, to save its memory.
        engine: See :func:`~torchlops.shapes.accept_pylops_options`.
        dtype: Label of the operator.
        name: A name for errors.

    Models are ``(npy * npx, nt)``, data ``(nhy * nhx, nt)``, as in PyLops. An axis that is a tensor carries gradients
    (with ``interp=True``) and takes part in the dtype of the result; an array does neither.

    Raises:
        ValueError: when ``kind`` is not known or returns a wrong shape, or an axis is too short.

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
        taxis: Any,
        hyaxis: Any,
        hxaxis: Any,
        pyaxis: Any,
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
        names = ("hyaxis", "hxaxis", "pyaxis", "pxaxis")
        super().__init__(
            taxis, (hyaxis, hxaxis), (pyaxis, pxaxis), names, kind, centeredh, interp, onthefly, dtype, name
        )
