"""An operator on overlapping windows of two-dimensional data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchlops.shapes import Dims, accept_pylops_options
from torchlops.signalprocessing._windows import Steps, Windowed, design
from torchlops.utils.tapers import TaperType

logger = logging.getLogger(__name__)


def sliding2d_design(
    dimsd: Sequence[int], nwin: int, nover: int, nop: Sequence[int], verb: bool = True
) -> tuple[int, tuple[int, ...], Steps, Steps]:
    """Return the sizes of a :class:`Sliding2D`, and write them to the log at level INFO.

    Args:
        dimsd: Shape of the data.
        nwin: Number of samples of a window.
        nover: Number of samples by which windows overlap.
        nop: Shape of the model of a window.
        verb: Accepted for compatibility; it has no effect, as in PyLops.

    Returns:
        Number of windows, shape of the model, and the starts and ends of the windows of the
        model and of the data.

    Example:
        >>> nwins, dims, mwins_inends, dwins_inends = sliding2d_design((10, 5), nwin=4, nover=1, nop=(3, 7))
        >>> nwins, dims
        (3, (9, 7))
    """
    accept_pylops_options(verb=verb)
    (nwins,), dims, (model,), (data,) = design(logger, dimsd, (nwin,), (nover,), nop)
    return nwins, dims, model, data


class Sliding2D(Windowed):
    r"""An operator on overlapping windows along the first axis of two-dimensional data.

    Windows are not tapered at the ends of the data. Samples after the last window are zero; :func:`sliding2d_design`
    returns where it ends. ``Op`` is applied to the windows of the whole batch at once, and the operator is
    complex-linear if ``Op`` is (PyLops always sets ``clinear=False``).

    Forward:
        Window ``w`` of the data, of shape ``(nwin, dimsd[1])``, is ``Op`` applied to the model of that window, times a
        taper :math:`t_w`; overlapping windows are summed:

        .. math:: y_{[w]} \mathrel{+}= t_w \odot \mathrm{Op} \, x_w

        with :math:`y_{[w]}` the samples of the data in window ``w``.

    Adjoint:
        .. math:: (A^H y)_w = \mathrm{Op}^H (t_w \odot y_{[w]})

    Args:
        Op: The operator of one window, or of all windows at once if it takes models of the size of ``dims``.
        dims: Shape of the model, with all windows concatenated.
        dimsd: Shape of the data.
        nwin: Number of samples of a window.
        nover: Number of samples by which windows overlap.
        tapertype: ``"hanning"``, ``"cosine"``, ``"cosinesquare"``, ``"cosinesqrt"`` or None, or
            a tensor of tapers ``(*nwins, *nwin)``, which may require gradients.
        savetaper: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        name: A name for error messages.

    Models have shape ``(nwins, dims[0] // nwins, dims[1])``.

    Attributes:
        taps: The tapers of all windows, or None: a buffer, which may be replaced by a parameter.
        simOp: Whether ``Op`` takes all windows at once.
        dwin_inends: Starts and ends of the windows.

    Raises:
        ValueError: If the sizes of ``Op``, the model and the windows are inconsistent, or tapers do not fit into a
            window.

    Example:
        >>> import torch, torchlops
        >>> A = Sliding2D(torchlops.Identity((4, 2)), dims=(8, 2), dimsd=(6, 2), nwin=4, nover=2)
        >>> A(torch.ones(2, 4, 2, dtype=torch.float64))[:, 0]
        tensor([1., 1., 1., 1., 1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        Op: Any,
        dims: Dims,
        dimsd: Dims,
        nwin: int,
        nover: int,
        tapertype: TaperType | Tensor | None = "hanning",
        savetaper: bool = True,
        name: str = "S",
    ) -> None:
        accept_pylops_options(savetaper=savetaper)
        super().__init__(Op, dims, dimsd, 2, (nwin,), (nover,), None, tapertype, None, name)
        self.nwin, self.nover = nwin, nover
        (self.dwin_inends,) = self._ends
