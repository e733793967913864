"""Differences in tomography."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

ROUNDED = (
    "`CT2D` computes weights in float64, and products in the precision of the data. PyLops's come from ASTRA, which "
    "computes both in float32, and adds up positions along a ray: its data are off by up to 0.04 percent of the "
    "largest, and what is inverted from them by 1 percent. It casts float64 down with a warning."
)

SCRIPTS: tuple[Difference, ...] = (
    Difference("defect", ROUNDED, tuple(f"tutorials/ctscan::{name}" for name in ("y", "xrec", "xinv_sm", "xinv"))),
)

UNSHOWN: tuple[Difference, ...] = (
    Difference(
        "decision",
        "`engine` of `CT2D` may be left out, and decides only whether the default of `projector_type` is `'strip'` or, "
        "for `'cuda'`, `'cuda'`, which is Joseph's method as in ASTRA. Any kernel works on any device; PyLops raises "
        "for other kernels than `'cuda'` there. `'linear'` works with fan beams, too, which PyLops refuses.",
    ),
    Difference(
        "defect",
        "Angles of `CT2D` are in radians, here and in PyLops, whose documentation says degrees. Complex images are "
        "projected; PyLops drops their imaginary parts. The adjoint of `'cuda'` is exact; ASTRA's is another operator. "
        "A copy of an operator of PyLops's takes the projector of the original with it when it is deleted.",
    ),
    Difference(
        "defect",
        "`'strip'` of a fan beam, the default of `CT2D` there, is the area of a pixel in a strip in all views. Where "
        "the edges of a strip are on both sides of 45 degrees, ASTRA's weights are off by up to 7 percent of a pixel.",
    ),
    Difference(
        "decision",
        "A ray of the kernel `'line'` along the border of two pixels is shared by both; ASTRA has one of them, which "
        "depends on the rounding of the angle.",
    ),
)
