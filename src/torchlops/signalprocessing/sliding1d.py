"""An operator on overlapping windows of a signal."""

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor

from torchlops.shapes import Dims, accept_pylops_options
from torchlops.signalprocessing._windows import Steps, Windowed, design
from torchlops.utils.tapers import TaperType

logger = logging.getLogger(__name__)


def sliding1d_design(dimd: int, nwin: int, nover: int, nop: int, verb: bool = True) -> tuple[int, int, Steps, Steps]:
    """Return the sizes of a :class:`Sliding1D`, and write them to the log at level INFO.

    Args:
        dimd: Number of samples of the data.
        nwin: Number of samples of a window.
        nover: Number of samples by which windows overlap.
        nop: Number of samples of the model of a window.
        verb: Accepted for compatibility; it has no effect, as in PyLops.

    Returns:
        Number of windows, size of the model, and the starts and ends of the windows of the model and of the data.

    Example:
        >>> nwins, dim, mwins_inends, dwins_inends = sliding1d_design(10, nwin=4, nover=1, nop=3)
        >>> nwins, dim, dwins_inends
        (3, 9, (array([0, 3, 6]), array([ 4,  7, 10])))
    """
    accept_pylops_options(verb=verb)
    (nwins,), (dim,), (model,), (data,) = design(logger, (dimd,), (nwin,), (nover,), (nop,))
    return nwins, dim, model, data


class Sliding1D(Windowed):
    r"""An operator on overlapping windows of a signal.

    The first and the last window are not tapered at the ends of the data. Samples after the last window are zero;
    :func:`sliding1d_design` returns where it ends. ``Op`` is applied to the windows of the whole batch at once, and the
    operator is complex-linear if ``Op`` is (PyLops always sets ``clinear=False``).

    Forward:
        Window ``w`` of the data, of ``nwin`` samples, is ``Op`` applied to the model of that window, times a taper
        :math:`t_w`; overlapping windows are summed:

        .. math:: y_{w s + k} \mathrel{+}= t_{w,k} \, (\mathrm{Op} \, x_w)_k

        with the step :math:`s` = ``nwin - nover``.

    Adjoint:
        .. math:: (A^H y)_w = \mathrm{Op}^H (t_w \odot y_{w s : w s + n})

        with :math:`n` = ``nwin``.

    Args:
        Op: The operator of one window, or of all windows at once if it takes models of size ``dim``.
        dim: Size of the model, with all windows concatenated.
        dimd: Size of the data.
        nwin: Number of samples of a window.
        nover: Number of samples by which windows overlap.
        tapertype: ``"hanning"``, ``"cosine"``, ``"cosinesquare"``, ``"cosinesqrt"`` or None, or
            a tensor of tapers ``(*nwins, *nwin)``, which may require gradients.
        savetaper: Accepted for compatibility; see :func:`~torchlops.shapes.accept_pylops_options`.
        name: A name for error messages.

    Models have shape ``(nwins, dim // nwins)``.

    Attributes:
        taps: The tapers of all windows, or None: a buffer, which may be replaced by a parameter.
        simOp: Whether ``Op`` takes all windows at once.
        dwin_inends: Starts and ends of the windows.

    Raises:
        ValueError: If the sizes of ``Op``, the model and the windows are inconsistent, or tapers do not fit into a
            window.

    Example:
        >>> import torch, torchlops
        >>> A = Sliding1D(torchlops.Identity(4), dim=8, dimd=6, nwin=4, nover=2)
        >>> A(torch.ones(2, 4, dtype=torch.float64))
        tensor([1., 1., 1., 1., 1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        Op: Any,
        dim: Dims,
        dimd: Dims,
        nwin: int,
        nover: int,
        tapertype: TaperType | Tensor | None = "hanning",
        savetaper: bool = True,
        name: str = "S",
    ) -> None:
        accept_pylops_options(savetaper=savetaper)
        super().__init__(Op, dim, dimd, 1, (nwin,), (nover,), None, tapertype, None, name)
        self.nwin, self.nover = nwin, nover
        (self.dwin_inends,) = self._ends
