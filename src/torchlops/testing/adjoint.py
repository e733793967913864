"""Checks of the adjoint, the linearity and the matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchlops.arrays import complex_dtype, real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.testing.matrix import HAS_SCIPY, Draw, converted, fields, inner, measure, norm, sides
from torchlops.testing.verdicts import TOLERANCE, agree, blaming, require


def check_adjoint(A: LinearOperator) -> None:
    """Check that ``<A x, y> = <x, A^H y>`` to rounding, real and complex, in float64 and float32."""
    with blaming(A, "adjoint"):
        full = A.clinear and not A.real_model
        for precision in (torch.float64, torch.float32):
            B = A if precision == torch.float64 else converted(A, precision)
            draw = Draw(B)
            for model_dtype in fields(not A.real_model, precision):
                for data_dtype in fields(not A.H.real_model, precision):
                    pairs = []
                    scale = 0.0
                    for _ in range(3):
                        x, y = draw(B.dims, model_dtype), draw(B.dimsd, data_dtype)
                        data, model = B(x), B.H(y)
                        pairs.append((inner(data, y), inner(x, model)))
                        scale = max(scale, norm(data) * norm(y) + norm(x) * norm(model))
                    _compare_inner_products(A, pairs, full, scale, (model_dtype, data_dtype))


def _compare_inner_products(
    A: LinearOperator, pairs: list[tuple[complex, complex]], full: bool, scale: float, dtypes: tuple[Any, Any]
) -> None:
    left, right = np.array(pairs).T
    if not full:  # the adjoint of an R-linear map is the one under Re<.,.>
        left, right = left.real, right.real
    allowed = TOLERANCE[real_dtype(dtypes[0])] * scale
    errors = np.abs(left - right)
    worst = int(np.argmax(errors))
    if errors[worst] <= allowed:
        return
    square = np.vdot(right, right).real
    factor = f"{np.vdot(right, left) / square:.4g}" if square else "infinite"
    hint = (
        "Their real parts agree: if the operator is only real-linear, declare clinear=False."
        if np.all(np.abs(left.real - right.real) <= allowed)
        else "A constant factor indicates a wrong scale, a varying one a wrong adjoint."
    )
    raise AssertionError(
        f"{A.name_and_type}: adjoint: <A x, y> = {left[worst]:.6g} but <x, A^H y> = {right[worst]:.6g} "
        f"for {dtypes[0]} x and {dtypes[1]} y, allowed difference {allowed:.2g}; "
        f"fitted factor <A x, y> / <x, A^H y> = {factor} over {len(pairs)} pairs. {hint}"
    )


def check_linear(A: LinearOperator) -> None:
    """Check that ``A (a x + b z) = a A x + b A z``, with complex ``a`` and ``b`` unless ``clinear=False``."""
    with blaming(A, "linear"):
        for side in sides(A):
            for dtype in side.fields:
                draw = Draw(A)
                x, z = draw(side.dims, dtype), draw(side.dims, dtype)
                is_complex = side.takes_complex and A.clinear and dtype.is_complex
                a, b = (0.7 - 1.3j, -0.4 + 0.9j) if is_complex else (0.7, -1.9)
                scale = side.norm * (norm(x) + norm(z))
                got = side.operator(a * x + b * z)
                want = a * side.operator(x) + b * side.operator(z)
                hint = "The factors are complex: is an imaginary part lost, or should clinear be False?"
                agree(A, f"linear: {side.label}", got, want, scale, hint if is_complex else "")
                zero = side.operator(torch.zeros_like(x))
                require(A, f"linear: {side.label}", not zero.count_nonzero(), "the output of a zero input is not zero")
                if A.clinear and side.takes_complex and not dtype.is_complex:
                    got = side.operator(x.to(complex_dtype(dtype)))
                    hint = "The input is real, given as a real and as a complex tensor: does the first lose something?"
                    agree(A, f"linear: {side.label}", side.operator(x), got, scale, hint)


def check_dense(A: LinearOperator) -> None:
    """Check the matrix: forward against adjoint, column by column, and both against ``todense``."""
    with blaming(A, "dense"):
        forward, adjoint = sides(A)
        P, Q = measure(adjoint.operator)
        hint = "The adjoint is not the conjugate transpose of the forward."
        agree(A, "dense: matrix of A.H", P + Q, adjoint.P + adjoint.Q, forward.norm, hint)
        if adjoint.takes_complex:
            agree(A, "dense: matrix of A.H on i y", P - Q, adjoint.P - adjoint.Q, forward.norm, hint)
        if A.clinear and not A.real_model:
            hint = "It is only real-linear: declare clinear=False."
            agree(A, "dense: part that conjugates x", forward.Q, torch.zeros_like(P.mT), forward.norm, hint)
        matrix = forward.P + forward.Q
        draw = Draw(A)
        for side in (forward, adjoint):
            for dtype in side.fields:
                x = draw(side.dims, dtype)
                hint = (
                    "A random vector gives another result than the matrix measured with unit vectors: lost precision?"
                )
                agree(A, f"dense: {side.label}", side.operator(x), side.exact(x), side.norm * norm(x), hint)
        matrices = {"todense('torch')": A.todense(backend="torch"), "todense()": torch.from_numpy(A.todense())}
        if HAS_SCIPY:
            matrices["tosparse()"] = torch.from_numpy(A.tosparse().toarray())
        for what, got in matrices.items():  # in the dtype of the operator, which may be float32
            agree(A, what, got.cpu(), matrix.cpu(), forward.norm, tolerance=TOLERANCE[real_dtype(got.dtype)])
        require(
            A,
            "dtype",
            A.dtype.kind == "c" or float(matrix.imag.abs().max()) == 0,
            f"its matrix is complex, but its dtype is {A.dtype}: SciPy would drop the imaginary part",
        )
