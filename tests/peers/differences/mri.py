"""Differences in magnetic resonance imaging."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

CENTER = (
    "`MRI2D` with regular vertical lines takes a central part, which is the default of `perc_center`: the lines are "
    "spread over the other columns. PyLops raises, also with its own defaults. Write `perc_center=0.0` for its masks."
)
RADIAL = (
    "The data of `MRI2D` with radial lines are those of the Fourier transform at the positions of their samples, to "
    "`tol`, by `NUFFT`. PyLops interpolates k-space between the samples of its grid, which for a phantom is 64 percent "
    "off; on grids that are not square it swaps the axes, and reads some samples from the other end. Lines are whole "
    "here, from edge to edge of k-space and through its middle, and the data have the shape `(nlines, samples)`; "
    "PyLops sorts the positions, and drops those that it cannot interpolate or has twice."
)

TESTS: tuple[Difference, ...] = (
    Difference("decision", CENTER, ("test_mri::test_MRI2D_vertical_reg_invalid_perc_center",)),
)

SCRIPTS: tuple[Difference, ...] = (Difference("defect", RADIAL, ("examples/plot_mri::d", "examples/plot_mri::x_adj")),)

UNSHOWN: tuple[Difference, ...] = (
    Difference(
        "decision",
        "Random masks of `MRI2D` come from torch's generator, which `torch.manual_seed` seeds, or from `generator=`, "
        "one of torch or of NumPy. PyLops's are other ones in each run, and cannot be repeated.",
    ),
    Difference(
        "decision",
        "An array as `mask` of `MRI2D` does not affect the type of the data: complex64 stays complex64. In PyLops a "
        "mask of float64 makes complex128. Products with vertical lines, `A @ x`, answer in kind; PyLops's are flat.",
        topic="types",
    ),
)
