"""A tape that keeps few wavefields, and computes the others again."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torchlops.waveeqprocessing._acoustic.fast import FastState, FastStep
from torchlops.waveeqprocessing._acoustic.propagation import Drive, Fields


class Checkpoints:
    r"""The states before every :math:`n`-th step, from which the steps between are computed again, last first.

    A state is two wavefields and the strips, and between two checkpoints one ``q`` of each step is kept. The memory is
    least for :math:`\\sqrt{n_t / 3}` checkpoints or so, and grows as :math:`\\sqrt{n_t}`; the time is that of one more
    run.

    Args:
        step: The step.
        drive: What drives the fields.
    """

    def __init__(self, step: FastStep, drive: Drive) -> None:
        self.step, self.drive = step, drive
        self.steps = max(drive.f.shape[0] - 1, 0)
        self.length = max(math.ceil(math.sqrt(3 * self.steps)), 1)
        self.states: list[Fields] = []

    def before(self, n: int, fields: Fields) -> None:
        """Keep every n-th state."""
        if n % self.length == 0:
            self.states.append(_copy(fields))

    def after(self, q: Fields) -> None:
        """Nothing is kept after a step."""

    def backwards(self) -> Iterator[Fields]:
        """Yield every ``q``, from the last to the first; it is overwritten later."""
        rooms: list[Fields] = []
        for index in reversed(range(len(self.states))):
            fields = _copy(self.states[index])
            first = index * self.length
            count = min(self.length, self.steps - first)
            while len(rooms) < count:
                rooms.append(self.drive.room(self.step, fields))
            for i in range(count):
                fields, _ = self.drive.advance(self.step, first + i, fields, rooms[i])
            yield from reversed(rooms[:count])


def _copy(fields: tuple[FastState, FastState | None]) -> Fields:
    u, du = fields
    return u.clone(), None if du is None else du.clone()
