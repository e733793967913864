r"""The filters of the dual-tree complex wavelet transform, and their application in one level.

The two trees of the transform are interleaved in one signal. A level multiplies each block of the signal, with its
neighbourhood, by one small matrix:

.. math::
    y_{k, o} = \sum_w x_{s k + b + w}\, M_{w, o}

with ``step`` :math:`s` and ``start`` :math:`b`. The signal is extended by half-sample symmetric reflection, which
repeats the end samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Taps = Sequence[float]


class Level(NamedTuple):
    """One filter step: the matrix of a block, the step between blocks, and the start of the first window."""

    matrix: list[list[float]]
    step: int
    start: int


def filtered(x: Tensor, level: Level) -> Tensor:
    """Return the outputs ``(..., blocks, outputs)`` of a level for signals along the last axis."""
    batch, count, around = x.shape[:-1], _blocks(x.shape[-1], level.step), _around(level)
    index = _mirrored(x, level, count)
    blocks = x.gather(-1, index.expand(*batch, -1)).reshape((*batch, count + around - 1, level.step))
    windows = torch.cat([blocks.narrow(-2, i, count) for i in range(around)], -1)
    return windows @ _matrix(level, x)


def filtered_adjoint(y: Tensor, level: Level, length: int) -> Tensor:
    """Apply the adjoint of :func:`filtered` for signals of ``length`` samples."""
    batch, count, around = y.shape[:-2], y.shape[-2], _around(level)
    x = y.new_zeros((*batch, length))
    index = _mirrored(x, level, count)
    windows = y @ _matrix(level, y).mT
    blocks = y.new_zeros(())
    for i in range(around):
        before = y.new_zeros((*batch, i, level.step))
        after = y.new_zeros((*batch, around - 1 - i, level.step))
        blocks = blocks + torch.cat((before, windows.narrow(-1, i * level.step, level.step), after), -2)
    return x.scatter_add(-1, index.expand(*batch, -1), blocks.reshape((*batch, (count + around - 1) * level.step)))


def _blocks(length: int, step: int) -> int:
    return -(-length // step)


def _around(level: Level) -> int:
    return -(-len(level.matrix) // level.step)


def _matrix(level: Level, like: Tensor) -> Tensor:
    missing = _around(level) * level.step - len(level.matrix)
    rows = level.matrix + [[0.0] * len(level.matrix[0])] * missing
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def _mirrored(x: Tensor, level: Level, count: int) -> Tensor:
    """Return the indices in ``x`` of the samples of all windows.

    If the length is not a multiple of the step, the two end samples are doubled first, as in Kingsbury's toolbox.
    """
    n = x.shape[-1]
    doubled = 1 if n % level.step else 0
    length = n + 2 * doubled
    places = torch.arange((count + _around(level) - 1) * level.step, device=x.device) + level.start
    places = torch.remainder(places, 2 * length)
    places = torch.minimum(places, 2 * length - 1 - places)
    return (places - doubled).clamp(0, n - 1)


def first_analysis(h0: Taps, h1: Taps) -> Level:
    """Return the level of two odd-length filters, from two samples to two low-pass and two high-pass samples."""
    reach = max(len(h0), len(h1)) // 2
    matrix = [[0.0] * 4 for _ in range(2 * reach + 2)]
    for i, taps in enumerate((h0, h1)):
        for phase in range(2):
            for j, tap in enumerate(taps):
                matrix[phase + len(taps) // 2 - j + reach][2 * i + phase] = tap
    return Level(matrix, 2, -reach)


def first_synthesis(g0: Taps, g1: Taps) -> tuple[Level, Level]:
    """Return the levels that reconstruct the signal from pairs of low-pass and high-pass samples."""
    levels = []
    for taps in (g0, g1):
        level = first_analysis(taps, ())
        levels.append(level._replace(matrix=[row[:2] for row in level.matrix]))
    return levels[0], levels[1]


def analysis(h0: Taps) -> Level:
    """Return the level of a quarter-shift filter, from four samples to two low-pass and two high-pass samples.

    ``h0`` is the filter of tree a. Tree b uses the reversed filter, and the high-pass filters alternate in sign. The
    order of the trees is swapped between the low-pass and the high-pass samples.
    """
    m, h1 = len(h0), _high_pass(h0)
    matrix = [[0.0] * 4 for _ in range(2 * m)]
    for i in range(m):
        matrix[2 * m - 2 - 2 * i][0] = h0[m - 1 - i]
        matrix[2 * m - 1 - 2 * i][1] = h0[i]
        matrix[2 * m - 1 - 2 * i][2] = h1[i]
        matrix[2 * m - 2 - 2 * i][3] = h1[m - 1 - i]
    return Level(matrix, 4, 2 - m)


def synthesis(h0: Taps) -> tuple[Level, Level]:
    """Return the levels that reconstruct four samples of the signal from pairs of low-pass and high-pass samples."""
    low, high = _interpolating(h0, False), _interpolating(_high_pass(h0), True)
    return low, high


def _interpolating(taps: Taps, swapped: bool) -> Level:
    m, half = len(taps), len(taps) // 2
    matrix = [[0.0] * 4 for _ in range(m + 2)]
    for j in range(m):  # tree b uses the analysis taps of tree a, and vice versa
        for tree, tap in enumerate((taps[j], taps[m - 1 - j])):
            later = tree != swapped
            if half % 2:
                output, place = 2 * (j % 2) + tree, half - 1 + later - j // 2 * 2
            else:
                output, place = 2 * (1 - j % 2) + tree, half + later - (j + 1) // 2 * 2
            matrix[place + half][output] = tap
    return Level(matrix, 2, -half)


def _high_pass(h0: Taps) -> list[float]:
    return [tap if i % 2 == 0 else -tap for i, tap in enumerate(reversed(h0))]


def first_filters(name: str) -> tuple[Taps, Taps, Taps, Taps]:
    """Return the filters ``h0, h1`` of the first analysis and ``g0, g1`` of the last synthesis."""
    h0, g0 = (_symmetric(half, scale) for half, scale in FIRST[name])
    return h0, _alternating(g0), g0, _alternating(h0)


def _symmetric(half: Taps, scale: float) -> list[float]:
    return [tap / scale for tap in (*half, *half[-2::-1])]


def _alternating(taps: Taps) -> list[float]:
    middle = len(taps) // 2
    return [tap if (i - middle) % 2 == 0 else -tap for i, tap in enumerate(taps)]


FIRST: dict[str, tuple[tuple[Taps, float], tuple[Taps, float]]] = {
    "antonini": (
        ((0.02674875741080976, -0.01686411844287495, -0.07822326652898785, 0.2668641184428723, 0.6029490182363579), 1),
        ((-0.04563588155712474, -0.028771763114249785, 0.2956358815571235, 0.557543526228497), 1),
    ),
    "legall": (((-1, 2, 6), 8), ((1, 2), 4)),
    "near_sym_a": (((-1, 5, 12), 20), ((-3, -15, 73, 170), 280)),
    "near_sym_b": (
        ((-9, 0, 114, -240, -247, 1520, 2844), 5120),
        ((81, 0, -1539, -2160, 8208, 27360, -63816, -59280, 343786, 641600), 1146880),
    ),
}
"""The low-pass filters of the first level up to their middle tap, with their divisors."""

QUARTER_SHIFT: dict[str, Taps] = {
    "qshift_06": (
        0.03516383657149474, 0.0, -0.08832942445107285, 0.23389032060723564, 0.7602723690661257,
        0.5875182977235605, 0.0, -0.11430183714424873, 0.0, 0.0,
    ),
    "qshift_a": (
        0.05113040528383166, -0.01397537024688884, -0.10983605166597087, 0.26383956105893763, 0.7666284677930372,
        0.5636557101270515, 0.0008736226952171, -0.1002312195074762, -0.00168968127252815, -0.00618188189211644,
    ),
    "qshift_b": (
        0.00325314276365318, -0.00388321199915849, 0.03466034684485349, -0.03887280126882779, -0.11720388769911527,
        0.27529538466888204, 0.7561456438925225, 0.5688104207121227, 0.011866092033797, -0.1067118046866654,
        0.0238253847949203, 0.01702522388155399, -0.00543947593727412, -0.00455689562847549,
    ),
    "qshift_c": (
        -0.0047616119384559135, -0.00044602278926228516, -0.00007144197327965012, 0.034914612306842195,
        -0.03727389579989796, -0.11591145742744076, 0.27636864313303172, 0.75639376519903667, 0.56713448410013301,
        0.014637405964473349, -0.11255888425752203, 0.02228926326692271, 0.018498682724156248,
        -0.0072026778782583465, -0.0002276522058977718, 0.0024303499451486751,
    ),
    "qshift_d": (
        -0.00228412744027053, 0.00120989416307344, -0.01183479451543079, 0.0012834569993444, 0.044365221606617,
        -0.05327610880304726, -0.1133058863621428, 0.2809028632221865, 0.7528160380878561, 0.5658080673964587,
        0.02455015243366656, -0.12018854471079482, 0.01815649394554645, 0.03152637712208465, -0.00662879461243006,
        -0.00257617430660079, 0.001277558653807, 0.00241186945666628,
    ),
}  # fmt: skip
"""The low-pass filters of tree a above the first level, orthonormal to their shifts by two."""
