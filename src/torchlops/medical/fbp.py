"""Reconstruction of images from parallel and fan-beam views."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from torchlops.arrays import DType
from torchlops.medical._filteredbackprojection import Backprojection, FilteredBackprojection
from torchlops.medical._rays import numbers_of
from torchlops.medical.ct import CT2D
from torchlops.medical.trajectories import cone_vectors, parallel3d_vectors

__all__ = ["FBP"]


class FBP(FilteredBackprojection):
    r"""Filtered back-projection: an image from its parallel or fan-beam views, in one step.

    It is a linear operator from data to images, with an exact adjoint, and an approximate inverse of the projector:
    the density of a large object is right to a percent if views and detectors are dense and cover it.

    Forward:
        .. math::

            x_i = \sum_v \frac{1}{\ell_{vi}^2} \big( h * (w_v \, y_v) \big)(u_{vi})

        with the position :math:`u_{vi}` where the center of the pixel :math:`i` is projected onto the detector, where
        the filtered view is interpolated linearly, and the filter :math:`h` of the frequency response :math:`|f|`, cut
        off at the Nyquist frequency and sampled in space, so that the mean is right, times a window. Angles have the
        weight :math:`\Delta\theta_v`, half of the distance between both neighbors.

        For parallel rays, :math:`\ell = 1` and :math:`w = \Delta\theta`, modulo half a turn. For a fan beam,
        :math:`\ell` is the distance from the source to the pixel along the central ray, over that to the origin, and
        :math:`w` is :math:`\Delta\theta / 2`, modulo a turn (or :math:`\Delta\theta` times Parker's weight), times
        the cosine of the angle between the ray and the central one, and the magnification of the detector.

    Adjoint:
        .. math:: y_v = w_v \, \Big( h * \sum_i \frac{x_i}{\ell_{vi}^2} \, \delta_{u_{vi}} \Big)

    Args:
        projector: The scan, a :class:`~torchlops.medical.CT2D`. Its kernel has no influence.
        window: What multiplies the ramp: ``"ramp"``, nothing (Ram-Lak); ``"shepp-logan"``, a sinc; ``"hann"``, a
            cosine bell. They have less noise in this order, and less resolution.
        cutoff: Where the window ends, as a part of the Nyquist frequency.
        short_scan: Whether a fan beam turns by less than a turn, but at least half a turn plus the angle of the fan.
            Rays that are measured twice then have Parker's smooth weights.
        dtype: Nominal dtype of the operator. Default: that of the projector.
        name: A name for error messages.

    Angles may be in any order, and need not be regular. If they leave a gap, there is a warning. Tensors from which the
    projector was built carry gradients here, too.

    Attributes:
        projector: The scan.
        window: The window.
        cutoff: Where it ends.
        short_scan: Whether there are Parker's weights.

    Raises:
        TypeError: If ``projector`` is not a CT2D.
        ValueError: If the window is unknown, ``cutoff`` is not above 0 to 1, or parallel rays have a ``short_scan``.

    Source: A. C. Kak and M. Slaney, Principles of Computerized Tomographic Imaging, IEEE Press (1988); D. L. Parker,
    Optimal short scan convolution reconstruction for fan beam CT, Medical Physics 9 (1982).

    Example:
        >>> import numpy as np
        >>> from torchlops.medical import CT2D
        >>> thetas = np.arange(90) * np.pi / 90
        >>> C = CT2D((32, 32), 1.0, 46, thetas, dtype="float64")
        >>> x = np.zeros((32, 32))
        >>> x[8:24, 8:24] = 1.0
        >>> FBP(C)(C(x))[12:20, 12:20].mean().round(2)
        np.float64(1.0)
    """

    def __init__(
        self,
        projector: CT2D,
        window: Literal["ramp", "shepp-logan", "hann"] = "ramp",
        cutoff: float = 1.0,
        short_scan: bool = False,
        dtype: DType | None = None,
        name: str | None = "F",
    ) -> None:
        if not isinstance(projector, CT2D):
            raise TypeError(f"FBP takes the projector of a scan, a CT2D, got {projector!r}")
        super().__init__(_BackprojectionOfImages(projector), window, cutoff, short_scan, dtype, name)


class _BackprojectionOfImages(Backprojection):
    projector: CT2D

    def __init__(self, projector: CT2D) -> None:
        super().__init__(projector, projector.proj_geom_type == "fanflat")

    def vectors(self) -> Tensor:
        def numbers(name: str) -> Any:
            return numbers_of(self.projector, name)

        thetas, spacing, offset = numbers("thetas"), (1.0, numbers("det_width")), (0.0, numbers("det_offset"))
        vectors: Tensor
        if self.is_cone:
            distances = numbers("source_origin_dist"), numbers("origin_detector_dist")
            vectors = cone_vectors(thetas, *distances, spacing, offset)
        else:
            vectors = parallel3d_vectors(thetas, spacing, offset)
        return vectors
