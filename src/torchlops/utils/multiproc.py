"""Scaling of operators with the number of threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch


def scalability_test(
    Op: Any, x: Any, workers: Sequence[int] | None = None, forward: bool = True, ntimes: int = 1
) -> tuple[list[float], list[float]]:
    """Time an operator with different numbers of torch threads.

    PyLops uses processes instead.

    Args:
        Op: The operator.
        x: Model ``(N,)`` or, for the adjoint, data ``(M,)``.
        workers: Numbers of threads; ``[1, 2, 4]`` by default.
        forward: Time the forward if True, the adjoint if False.
        ntimes: Number of repetitions. Use 10 or more for stable results.

    Returns:
        The time in seconds of one call for each number of threads, and the speedup relative to the first.

    Raises:
        ValueError: If ``ntimes`` or a number of threads is less than 1.

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
