"""Thresholding of arrays and tensors, under the names that PyLops's users import from ``cls_sparsity``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from torchlops.arrays import as_tensor, from_array
from torchlops.optimization.sparse import prox


def _softthreshold(x: Any, thresh: Any) -> Any:
    """Return the soft threshold of each sample; see :func:`~torchlops.optimization.sparse.prox.soft`."""
    return _on_tensor(x, lambda z: prox.soft(z, _number(thresh)))


def _hardthreshold(x: Any, thresh: Any) -> Any:
    """Return the hard threshold of each sample; see :func:`~torchlops.optimization.sparse.prox.hard`."""
    return _on_tensor(x, lambda z: prox.hard(z, _number(thresh)))


def _halfthreshold(x: Any, thresh: Any) -> Any:
    r"""Return the half threshold of each sample, which minimises :math:`|x - z|^2 + \tau |x|^{1/2}` (not half of it).

    (Of complex samples it keeps the phase, as the other thresholds do; PyLops's does not.)
    """
    return _on_tensor(x, lambda z: prox.half(z, _number(thresh) / 2))


def _softthreshold_percentile(x: Any, perc: float) -> Any:
    """Return the soft threshold at a percentile of the moduli of all samples."""
    return _at_percentile("soft", x, perc)


def _hardthreshold_percentile(x: Any, perc: float) -> Any:
    """Return ``x`` with zeros where its modulus is not above its percentile ``perc``."""
    return _at_percentile("hard", x, perc)


def _halfthreshold_percentile(x: Any, perc: float) -> Any:
    """Return the half threshold at a percentile of the moduli of all samples."""
    return _at_percentile("half", x, perc)


def _at_percentile(kind: str, x: Any, perc: float) -> Any:
    return _on_tensor(x, lambda z: prox.percentile(kind, z.flatten(), 100 - perc).reshape(z.shape))


def _number(thresh: Any) -> Any:
    return as_tensor(thresh, "thresh") if hasattr(thresh, "shape") else thresh


def _on_tensor(x: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return what a function of tensors gives for a tensor or an array, in kind."""
    if isinstance(x, Tensor):
        return function(x)
    tensor, back = from_array(x, "a threshold")
    return back(function(tensor))
