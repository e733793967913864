"""What of an operator is part of the state of a network."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from torchlops.linearoperator import Factor, LinearOperator

_Module = TypeVar("_Module", bound=nn.Module)


def exclude_from_state_dict(module: _Module) -> _Module:
    """Keep the constants of operators out of ``state_dict``: masks, point-spread functions, matrices.

    A mask belongs to the data, not to what a network has learned, and has their size. With it in the checkpoint, the
    network could not be loaded for images of another size. This makes every buffer of every operator in ``module`` a
    non-persistent one, as ``register_buffer(persistent=False)`` does. Parameters stay in the state, as do the buffers
    of other modules, such as the running means of a batch normalisation. The constants still move with ``.to()``, and
    are copied and pickled with the module.

    Args:
        module: An operator, or a network that contains operators. It is changed in place; operators that are put into
            the network later are not.

    Returns:
        ``module``, so that the call can stand where the operator is built.

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
