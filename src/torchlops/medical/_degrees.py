"""A check of angles, which other libraries have in degrees."""

from __future__ import annotations

import torch
from torch import Tensor

from torchlops.basicoperators._positions import is_readable
from torchlops.warning import warn

FEW = 8
"""Number of angles of which fewer tell nothing."""


def warn_of_degrees(thetas: Tensor, what: str) -> None:
    """Warn of angles that are meant in degrees: steps over 180 or 360, or whole numbers far beyond a turn.

    Args:
        thetas: The angles, a vector.
        what: The name of the operator or function.
    """
    if len(thetas) < FEW or not is_readable(thetas):
        return
    angles = thetas.detach().to(torch.float64)
    extent = float(angles.max() - angles.min())
    spans = (extent, extent * len(thetas) / (len(thetas) - 1))  # with and without the end
    is_round = any(abs(span - turn) < 1e-6 * turn for span in spans for turn in (180.0, 360.0))
    is_whole = extent > 45 and bool((angles == angles.round()).all())
    if is_round or is_whole:
        warn(
            f"{what}: thetas are in radians, but those from {float(angles.min()):g} to {float(angles.max()):g} look "
            "like degrees: pass numpy.deg2rad(thetas)"
        )
