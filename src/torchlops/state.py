"""The part of an operator that belongs to the state of a network."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from torchlops.linearoperator import Factor, LinearOperator

_Module = TypeVar("_Module", bound=nn.Module)


def exclude_from_state_dict(module: _Module) -> _Module:
    """Exclude the constants of operators (masks, point-spread functions, matrices) from ``state_dict``.

    A mask belongs to the data, not to what a network has learned, and has the size of the data. If the checkpoint
    contained it, the network could not be loaded for images of another size. This function makes all buffers of all
    operators in ``module`` non-persistent, as ``register_buffer(persistent=False)`` does. Parameters stay in the state,
    as do the buffers of other modules, such as the running means of a batch normalisation. The constants still move
    with ``.to()``, and are copied and pickled with the module.

    Args:
        module: An operator, or a network that contains operators. It is modified in place. Operators that are added to
            the network later are not affected.

    Returns:
        ``module``, so that the call can wrap the construction of the operator.

    Example:
        >>> import torch, torchlops
        >>> def network(mask):
        ...     A = torchlops.exclude_from_state_dict(torchlops.Diagonal(mask))
        ...     return torch.nn.Sequential(torch.nn.PReLU(), A)
        >>> small, large = network(torch.ones(4)), network(torch.ones(8))
        >>> list(small.state_dict()), large.load_state_dict(small.state_dict())
        (['0.weight'], <All keys matched successfully>)
    """
    for operator in module.modules():
        if isinstance(operator, LinearOperator):
            for part in (operator, *(inner for inner in operator.modules() if isinstance(inner, Factor))):
                part._non_persistent_buffers_set.update(part._buffers)
    return module
