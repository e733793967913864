"""Median times of several functions, measured in turn by ``torch.utils.benchmark``."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.benchmark import Measurement, TaskSpec, Timer

SHORT = 0.02  # seconds below which blocks of many calls are timed, instead of single calls


@dataclass(frozen=True)
class Effort:
    """The number of turns, the seconds that a fast function gets in each turn, and the number of threads."""

    rounds: int
    block: float
    threads: int

    @property
    def clock(self) -> Callable[[], float]:
        """The clock: on one thread, the CPU time, which other work on the machine affects least."""
        return time.process_time if self.threads == 1 else time.perf_counter


QUICK = Effort(rounds=1, block=0.0005, threads=1)


def best(functions: Mapping[str, Callable[[], Any]], rounds: int = 4) -> dict[str, float]:
    """Return the least processor time of each function, in turns, after one call each."""
    for function in functions.values():
        function()
    times = dict.fromkeys(functions, math.inf)
    for _ in range(rounds):
        for name, function in functions.items():
            begin = time.process_time()
            function()
            times[name] = min(times[name], time.process_time() - begin)
    return times


def median_times(
    functions: Mapping[str, Callable[[], Any]], effort: Effort, expected: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the median seconds of one call of each function.

    The functions take turns, so that a slowdown of the machine affects all of them. A slow function is called once or
    twice only: its time varies little, and the whole benchmark should not take too long.

    Args:
        functions: The functions to call, by name.
        effort: How long to measure, and on how many threads.
        expected: Expected seconds, for functions that are too slow for a trial call.
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


def least_times(functions: Mapping[str, Callable[[], Any]], rounds: int, block: float) -> dict[str, float]:
    """Return the seconds that one call of each short function takes, on one thread.

    The functions take turns, in blocks of ``block`` seconds. The result is the median of the turns' lower half, which
    other work on the machine affects least.
    """
    torch.set_num_threads(1)
    taken: dict[str, list[float]] = {name: [] for name in functions}
    counts = {}
    for name, function in functions.items():
        function()
        counts[name] = max(3, int(block / max(min(seconds_of(function) for _ in range(3)), 1e-7)))
    for _ in range(rounds):
        for name, function in functions.items():
            turns = itertools.repeat(None, counts[name])
            start = time.process_time()
            for _ in turns:
                function()
            taken[name].append((time.process_time() - start) / counts[name])
    return {name: statistics.median(sorted(times)[: (rounds + 1) // 2]) for name, times in taken.items()}


def seconds_of(function: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the time of one call in seconds."""
    start = clock()
    function()
    return clock() - start


def runs_for(seconds: float) -> int:
    """Return the number of runs of a function that takes ``seconds``."""
    return 1 if seconds > 0.15 else 2 if seconds > 0.06 else 3
