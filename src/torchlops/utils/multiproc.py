"""How much faster an operator runs on more threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch


def scalability_test(
    Op: Any, x: Any, workers: Sequence[int] | None = None, forward: bool = True, ntimes: int = 1
) -> tuple[list[float], list[float]]:
    """Time an operator on different numbers of threads of torch, where PyLops starts processes.

    Args:
        Op: The operator.
        x: Model ``(N,)`` or, for the adjoint, data ``(M,)``.
        workers: Numbers of threads; ``[1, 2, 4]`` by default.
        forward: Whether to time the forward, or the adjoint.
        ntimes: How often it is applied; 10 and more give stable numbers.

    Returns:
        The seconds of one call on each number of threads, and how many times faster that is than on the first.

    Raises:
        ValueError: when ``ntimes`` or a number of threads is below 1.

    Example:
        >>> import torchlops
        >>> seconds, speedup = scalability_test(torchlops.FirstDerivative(64), torch.ones(64), [1], ntimes=2)
        >>> len(seconds), speedup
        (1, [1.0])
    """
    workers = (1, 2, 4) if workers is None else workers
    if ntimes < 1 or min(workers) < 1:
        raise ValueError(f"scalability_test: ntimes and workers must be 1 or more, got {ntimes} and {list(workers)}")
    apply = Op.matvec if forward else Op.rmatvec
    before = torch.get_num_threads()
    seconds = []
    try:
        for count in workers:
            torch.set_num_threads(count)
            start = time.perf_counter()
            for _ in range(ntimes):
                apply(x)
            seconds.append((time.perf_counter() - start) / ntimes)
    finally:
        torch.set_num_threads(before)
    return seconds, [seconds[0] / each for each in seconds]
