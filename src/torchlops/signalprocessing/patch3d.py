"""An operator on overlapping patches of three-dimensional data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchlops.arrays import Array
from torchlops.shapes import Dims, accept_pylops_options
from torchlops.signalprocessing._windows import Steps, Windowed, design
from torchlops.utils.tapers import TaperType

logger = logging.getLogger(__name__)


def patch3d_design(
    dimsd: Sequence[int], nwin: Sequence[int], nover: Sequence[int], nop: Sequence[int], verb: bool = True
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Steps, ...], tuple[Steps, ...]]:
    """Return the sizes of a :class:`Patch3D`, and write them to the log at level INFO.

    Args:
        dimsd: Shape of the data.
        nwin: Number of samples of a patch along each axis.
        nover: Number of samples by which patches overlap along each axis.
        nop: Shape of the model of a patch.
        verb: Accepted for compatibility; it has no effect, as in PyLops.

    Returns:
        Number of patches along each axis, shape of the model, and the starts and ends of the patches of the
        model and of the data.

    Example:
        >>> nwins, dims, mwins_inends, dwins_inends = patch3d_design((10, 8, 5), (4, 4, 5), (1, 0, 0), nop=(3, 2, 7))
        >>> nwins, dims
        ((3, 2, 1), (9, 4, 7))
    """
    accept_pylops_options(verb=verb)
    return design(logger, dimsd, nwin, nover, nop)


class Patch3D(Windowed):
    r"""An operator on overlapping patches along all axes of three-dimensional data.

    Patches are not tapered at the ends of the data. Samples after the last patch are zero; :func:`patch3d_design`
    returns where it ends. ``Op`` is applied to the patches of the whole batch at once, and the operator is
    complex-linear if ``Op`` is (PyLops always sets ``clinear=False``). ``scalings`` are applied (PyLops 2.8 ignores
    them).

    Forward:
        Patch ``w`` of the data, of shape ``(nwin[0], nwin[1], nwin[2])``, is ``Op`` applied to the model of that patch,
        times a taper :math:`t_w` and a factor :math:`s_w`; overlapping patches are summed:

        .. math:: y_{[w]} \mathrel{+}= s_w t_w \odot \mathrm{Op} \, x_w

        with :math:`y_{[w]}` the samples of the data in patch ``w``.

    Adjoint:
        .. math:: (A^H y)_w = \mathrm{Op}^H (\bar s_w t_w \odot y_{[w]})

    Args:
        Op: The operator of one patch, or of all patches at once if it takes models of the size of ``dims``.
        dims: Shape of the model, with all patches along each axis concatenated.
        dimsd: Shape of the data.
        nwin: Number of samples of a patch along each axis.
        nover: Number of samples by which patches overlap along each axis.
        nop: Shape of the model of a patch. An ``Op`` of all patches does not use it.
        tapertype: ``"hanning"``, ``"cosine"``, ``"cosinesquare"``, ``"cosinesqrt"`` or None, or
            a tensor of tapers ``(*nwins, *nwin)``, which may require gradients.
        savetaper: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        scalings: One factor per patch, flat or of shape ``nwins``. No scaling by default.
        name: A name for error messages.

    Models have shape ``(nwins[0], nwins[1], nwins[2], dims[0] // nwins[0], dims[1] // nwins[1], dims[2] // nwins[2])``.

    Attributes:
        taps: The tapers of all patches, or None: a buffer, which may be replaced by a parameter.
        simOp: Whether ``Op`` takes all patches at once.
        dwins_inends: Starts and ends of the patches along each axis.

    Raises:
        ValueError: If the sizes of ``Op``, the model and the patches are inconsistent, tapers do not fit into a
            patch, or ``scalings`` does not have one value per patch.

    Example:
        >>> import torch, torchlops
        >>> B = torchlops.Identity((4, 1, 1))
        >>> A = Patch3D(B, (8, 1, 1), (6, 1, 1), (4, 1, 1), (2, 0, 0), nop=(4, 1, 1), scalings=[1.0, 3.0])
        >>> A(torch.ones(2, 1, 1, 4, 1, 1, dtype=torch.float64)).flatten()
        tensor([1., 1., 1., 3., 3., 3.], dtype=torch.float64)
    """

    def __init__(
        self,
        Op: Any,
        dims: Dims,
        dimsd: Dims,
        nwin: Sequence[int],
        nover: Sequence[int],
        nop: Sequence[int],
        tapertype: TaperType | Tensor | None = "hanning",
        savetaper: bool = True,
        scalings: Array | None = None,
        name: str = "P",
    ) -> None:
        accept_pylops_options(savetaper=savetaper)
        super().__init__(Op, dims, dimsd, 3, nwin, nover, nop, tapertype, scalings, name)
        self.nwin, self.nover = tuple(nwin), tuple(nover)
        self.dwins_inends = self._ends
