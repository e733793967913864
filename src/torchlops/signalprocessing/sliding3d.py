"""An operator on overlapping windows of three-dimensional data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchlops.shapes import Dims, accept_pylops_options
from torchlops.signalprocessing._windows import Steps, Windowed, design
from torchlops.utils.tapers import TaperType

logger = logging.getLogger(__name__)


def sliding3d_design(
    dimsd: Sequence[int], nwin: Sequence[int], nover: Sequence[int], nop: Sequence[int], verb: bool = True
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Steps, ...], tuple[Steps, ...]]:
    """Return the sizes of a :class:`Sliding3D`, and write them to the log at level INFO.

    Args:
        dimsd: Shape of the data.
        nwin: Number of samples of a window along each axis.
        nover: Number of samples by which windows overlap along each axis.
        nop: Shape of the model of a window.
        verb: Accepted for compatibility; it has no effect, as in PyLops.

    Returns:
        Number of windows along each axis, shape of the model, and the starts and ends of the windows of the
        model and of the data.

    Example:
        >>> nwins, dims, mwins_inends, dwins_inends = sliding3d_design((10, 8, 5), (4, 4), (1, 0), nop=(3, 2, 7))
        >>> nwins, dims
        ((3, 2), (9, 4, 7))
    """
    accept_pylops_options(verb=verb)
    return design(logger, dimsd, nwin, nover, nop)


class Sliding3D(Windowed):
    r"""An operator on overlapping windows along the first two axes of three-dimensional data.

    Windows are not tapered at the ends of the data. Samples after the last window are zero; :func:`sliding3d_design`
    returns where it ends. ``Op`` is applied to the windows of the whole batch at once, and the operator is
    complex-linear if ``Op`` is (PyLops always sets ``clinear=False``).

    Forward:
        Window ``w`` of the data, of shape ``(nwin[0], nwin[1], dimsd[2])``, is ``Op`` applied to the model of that
        window, times a taper :math:`t_w`; overlapping windows are summed:

        .. math:: y_{[w]} \mathrel{+}= t_w \odot \mathrm{Op} \, x_w

        with :math:`y_{[w]}` the samples of the data in window ``w``.

    Adjoint:
        .. math:: (A^H y)_w = \mathrm{Op}^H (t_w \odot y_{[w]})

    Args:
        Op: The operator of one window, or of all windows at once if it takes models of the size of ``dims``.
        dims: Shape of the model, with all windows along each axis concatenated.
        dimsd: Shape of the data.
        nwin: Number of samples of a window along each axis.
        nover: Number of samples by which windows overlap along each axis.
        nop: Shape of the model of a window. An ``Op`` of all windows does not use it.
        tapertype: ``"hanning"``, ``"cosine"``, ``"cosinesquare"``, ``"cosinesqrt"`` or None, or
            a tensor of tapers ``(*nwins, *nwin)``, which may require gradients.
        savetaper: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        nproc: Likewise.
        name: A name for error messages.

    Models have shape ``(nwins[0], nwins[1], dims[0] // nwins[0], dims[1] // nwins[1], dims[2])``.

    Attributes:
        taps: The tapers of all windows, or None: a buffer, which may be replaced by a parameter.
        simOp: Whether ``Op`` takes all windows at once.
        dwins_inends: Starts and ends of the windows along each axis.

    Raises:
        ValueError: If the sizes of ``Op``, the model and the windows are inconsistent, or tapers do not fit into a
            window.

    Example:
        >>> import torch, torchlops
        >>> A = Sliding3D(torchlops.Identity((4, 2, 1)), (8, 2, 1), (6, 2, 1), (4, 2), (2, 0), nop=(4, 2, 1))
        >>> A(torch.ones(2, 1, 4, 2, 1, dtype=torch.float64))[:, 0, 0]
        tensor([1., 1., 1., 1., 1., 1.], dtype=torch.float64)
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
        nproc: int = 1,
        name: str = "P",
    ) -> None:
        accept_pylops_options(savetaper=savetaper, nproc=nproc)
        super().__init__(Op, dims, dimsd, 3, nwin, nover, nop, tapertype, None, name)
        self.nwin, self.nover = tuple(nwin), tuple(nover)
        self.dwins_inends = self._ends
