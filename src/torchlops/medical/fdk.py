"""Reconstruction of volumes from cone-beam views."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from torchlops.arrays import DType
from torchlops.basicoperators._positions import is_readable
from torchlops.medical._filteredbackprojection import Backprojection, FilteredBackprojection
from torchlops.medical.ct3d import CT3D

__all__ = ["FDK"]

DEVIATION = 0.1
"""How far a scan may be from a circle, as a part of its radius, and of a right angle to the detector."""


class FDK(FilteredBackprojection):
    r"""Reconstruction of a volume from cone-beam views on a circle, by the method of Feldkamp, Davis and Kress.

    It is a linear operator from data to volumes, with an exact adjoint. It is exact for fans, in the plane of the
    source, up to the sampling. Away from it, it is an approximation, which has too low densities and is good for cones
    of some degrees.

    Forward:
        .. math::

            x_i = \sum_v \frac{1}{\ell_{vi}^2} \big( h * (w_v \, y_v) \big)(u_{vi})

        with the position :math:`u_{vi}` where the center of the voxel :math:`i` is projected onto the detector, where
        the filtered view is interpolated bilinearly, the ramp filter :math:`h` along rows, as in
        :class:`~torchlops.medical.FBP`, and the distance :math:`\ell` from the source across the detector, over that of
        the origin. Weights :math:`w` are :math:`\Delta\theta / 2` (or :math:`\Delta\theta` times Parker's weight),
        times the cosine of the angle between the ray and the normal of the detector, and the magnification.

    Adjoint:
        .. math:: y_v = w_v \, \Big( h * \sum_i \frac{x_i}{\ell_{vi}^2} \, \delta_{u_{vi}} \Big)

    Args:
        projector: The scan, a :class:`~torchlops.medical.CT3D` of a cone beam.
        window: ``"ramp"``, ``"shepp-logan"`` or ``"hann"``, as in :class:`~torchlops.medical.FBP`.
        cutoff: Where the window ends, as a part of the Nyquist frequency.
        short_scan: Whether the source turns by less than a turn, but at least half a turn plus the angle of the fan.
            Rays that are measured twice then have Parker's weights.
        dtype: Nominal dtype of the operator. Default: that of the projector.
        name: A name for error messages.

    The circle is read from the vectors of the projector: the source turns around the z axis, with angles in any order,
    and the rows of the detector are across the axis. Each view is taken where it is, so vectors may be a little off, as
    those of a calibrated scan are: by a tenth of the radius, and 6 degrees. The detector may have an offset. If
    ``vectors`` is a tensor, gradients reach it.

    Attributes:
        projector: The scan.
        window: The window.
        cutoff: Where it ends.
        short_scan: Whether there are Parker's weights.

    Raises:
        TypeError: If ``projector`` is not a CT3D of a cone beam.
        ValueError: If the source is not on a circle around the z axis, the detector does not face it or is behind the
            source, the window is unknown, or ``cutoff`` is not above 0 to 1.

    Source: L. A. Feldkamp, L. C. Davis and J. W. Kress, Practical cone-beam algorithm, Journal of the Optical Society
    of America A 1 (1984).

    Example:
        >>> import numpy as np
        >>> from torchlops.medical import CT3D, cone_vectors
        >>> vectors = cone_vectors(np.arange(60) * 2 * np.pi / 60, 60.0, 30.0, 1.5)
        >>> C = CT3D((16, 16, 16), (24, 24), vectors)
        >>> x = np.zeros((16, 16, 16))
        >>> x[4:12, 4:12, 4:12] = 1.0
        >>> FDK(C)(C(x))[7:9, 6:10, 6:10].mean().round(2)
        np.float64(1.0)
    """

    def __init__(
        self,
        projector: CT3D,
        window: Literal["ramp", "shepp-logan", "hann"] = "ramp",
        cutoff: float = 1.0,
        short_scan: bool = False,
        dtype: DType | None = None,
        name: str | None = "F",
    ) -> None:
        if not isinstance(projector, CT3D) or projector.proj_geom_type != "cone":
            raise TypeError(
                f"FDK takes the projector of a cone beam, a CT3D with proj_geom_type='cone', got {projector!r}"
            )
        backprojection = _BackprojectionOfVolumes(projector)
        _check_circle(backprojection)
        super().__init__(backprojection, window, cutoff, short_scan, dtype, name)


class _BackprojectionOfVolumes(Backprojection):
    projector: CT3D

    def __init__(self, projector: CT3D) -> None:
        super().__init__(projector, True)

    def vectors(self) -> Tensor:
        return self.projector.views()


def _check_circle(backprojection: Backprojection) -> None:
    """Refuse other scans."""
    geometry = backprojection.geometry()
    if not is_readable(geometry.first):
        return
    with torch.no_grad():
        source, height = geometry.first[:, :2], geometry.first[:, 2]
        radius, mean = source.norm(dim=1), source.norm(dim=1).mean()
        off = float(torch.maximum((radius - mean).abs(), (height - height.mean()).abs()).max() / mean)
        if not off <= DEVIATION:
            raise ValueError(
                f"FDK needs a source that turns on a circle around the z axis, but it is up to {off:.3g} of the radius "
                "off: use a solver, such as torchlops.cgls, for other scans"
            )
        if not bool((geometry.depth() > 0).all()):
            raise ValueError("FDK needs a detector in front of the source, but in at least one view it is not")
        units = [v / v.norm(dim=1, keepdim=True) for v in (source, geometry.across, geometry.along, geometry.normal())]
        inward, across, along, normal = units
        errors = {
            "its rows are not across the axis": across[:, 2].abs(),
            "its columns are not along the axis": 1 - along[:, 2].abs(),
            "it does not face the axis": 1 - (normal[:, :2] * inward).sum(1).abs(),
        }
        for what, error in errors.items():
            limit = DEVIATION if "rows" in what else DEVIATION**2 / 2  # as sines, and as cosines
            if not float(error.max()) <= limit:
                raise ValueError(
                    f"FDK needs a detector that faces the axis, with columns along it, but {what}, by up to "
                    f"{math.degrees(math.asin(DEVIATION)):.0f} degrees: use a solver for other scans"
                )
