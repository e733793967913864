"""Median times of several functions that take turns, by ``torch.utils.benchmark``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.benchmark import Measurement, TaskSpec, Timer

SHORT = 0.02  # seconds: below it, blocks of many calls are timed; above it, single calls


@dataclass(frozen=True)
class Effort:
    """How many turns each function takes, how many seconds a fast one gets in each, and on how many threads."""

    rounds: int
    block: float
    threads: int

    @property
    def clock(self) -> Callable[[], float]:
        """On one thread the time of the CPU, which other work on the machine touches least."""
        return time.process_time if self.threads == 1 else time.perf_counter


QUICK = Effort(rounds=1, block=0.0005, threads=1)


def median_times(
    functions: Mapping[str, Callable[[], Any]], effort: Effort, expected: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the median seconds of one call of each function.

    The functions take turns, so that a machine that slows down slows all of them. A function that takes long is
    called once or twice: its time varies little, and the whole benchmark shall end within a quarter of an hour.

    Args:
        functions: What to call, by name.
        effort: How long to measure, and on how many threads.
        expected: Seconds to expect, for functions that are too slow for a call just to find out.
    """
    threads, clock = effort.threads, effort.clock
    torch.set_num_threads(threads)
    guess = {name: (expected or {}).get(name) or seconds_of(function, clock) for name, function in functions.items()}
    timers = {
        name: Timer("call()", timer=clock, globals={"call": call}, num_threads=threads)
        for name, call in functions.items()
    }
    taken: dict[str, list[Measurement]] = {name: [] for name in functions}
    for turn in range(effort.rounds):
        for name, function in functions.items():
            if guess[name] < SHORT:
                taken[name].append(timers[name].blocked_autorange(min_run_time=effort.block))
            elif turn < min(effort.rounds, runs_for(guess[name])):
                task = TaskSpec("call()", "", num_threads=threads)
                taken[name].append(Measurement(1, [seconds_of(function, clock)], task))
    return {name: Measurement.merge(measurements)[0].median for name, measurements in taken.items()}


def seconds_of(function: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that one call takes."""
    start = clock()
    function()
    return clock() - start


def runs_for(seconds: float) -> int:
    """Return how often a function that takes ``seconds`` is run."""
    return 1 if seconds > 0.15 else 2 if seconds > 0.06 else 3
