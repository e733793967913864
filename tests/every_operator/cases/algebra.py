"""Cases of operators that are made of operators."""

from __future__ import annotations

from typing import Any

import torch

from tests.every_operator.case import Case, random

C128 = torch.complex128
COMPOSED = {"compiled_building": "torch.compile refuses A @ B and tensor * A inside a full graph"}
OURS = "PyLops has no operator like it, or another meaning of it"
REAL_LINEAR = "PyLops's adjoint of an operator that is linear over the real numbers only is not under Re<.,.>"


def _derivative(lops: Any) -> Any:
    return lops.FirstDerivative(4, kind="forward")


def _spectrum(lops: Any) -> Any:
    return lops.signalprocessing.FFT(5, real=True)


CASES = [
    Case(
        "AdjointOperator",
        lambda lops, A: lops.MatrixMult(A).H,
        [random(4, 3)],
        twin=lambda lops, A: lops.MatrixMult(A).H,
    ),
    Case(
        "AdjointOperator complex",
        lambda lops, A: lops.MatrixMult(A, dtype="complex128").H,
        [random(2, 3, dtype=C128)],
    ),
    Case("AdjointOperator of a real model", lambda lops: _spectrum(lops).H, oracle=REAL_LINEAR),
    Case("TransposedOperator", lambda lops, A: lops.MatrixMult(A, dtype="complex128").T, [random(2, 3, dtype=C128)]),
    Case("TransposedOperator of a real model", lambda lops: _spectrum(lops).T, oracle=REAL_LINEAR),
    Case(
        "ConjugatedOperator",
        lambda lops, A: lops.MatrixMult(A, dtype="complex128").conj(),
        [random(2, 3, dtype=C128)],
    ),
    Case("ConjugatedOperator of a real model", lambda lops: _spectrum(lops).conj(), oracle=REAL_LINEAR),
    Case(
        "PartOperator real",
        lambda lops, A: lops.MatrixMult(A, dtype="complex128").toreal(),
        [random(2, 3, dtype=C128)],
        oracle=OURS,
    ),
    Case(
        "PartOperator real of the data",
        lambda lops, A: lops.MatrixMult(A, dtype="complex128").toreal(adj=False),
        [random(2, 3, dtype=C128)],
        oracle=OURS,
    ),
    Case(
        "PartOperator imaginary",
        lambda lops, A: lops.MatrixMult(A, dtype="complex128").toimag(),
        [random(2, 3, dtype=C128)],
        oracle=OURS,
    ),
    Case("PartOperator imaginary of the model", lambda lops: _derivative(lops).toimag(forw=False), oracle=OURS),
    Case(
        "ColumnsOperator",
        lambda lops, A: lops.MatrixMult(A, dtype="complex128").apply_columns([2, 0]),
        [random(3, 4, dtype=C128)],
    ),
    Case("ColumnsOperator of 2-D models", lambda lops: lops.Roll((2, 3), shift=1).apply_columns([4, 1, 5])),
    Case("ScaledOperator", lambda lops: 2.5 * _derivative(lops)),
    Case("ScaledOperator complex", lambda lops: (1 - 2j) * lops.Flip(3, dtype="complex128"), oracle=OURS),
    Case(
        "ScaledOperator by a tensor",
        lambda lops, alpha: alpha * lops.Flip((2, 3)),
        [random(1)[0]],
        oracle=OURS,
        opt_out=COMPOSED,
    ),
    Case(
        "ScaledOperator by a complex tensor, twice",
        lambda lops, alpha: -(alpha * _derivative(lops)),
        [random(1, dtype=C128)[0]],
        oracle=OURS,
        opt_out=COMPOSED,
    ),
    Case("ScaledOperator complex of a real model", lambda lops: 1j * _spectrum(lops), oracle=REAL_LINEAR),
    Case("ScaledOperator complex of an adjoint", lambda lops: 1j * _spectrum(lops).H, oracle=REAL_LINEAR),
    Case("ScaledOperator complex of Real", lambda lops: (2 - 1j) * lops.Real(3), oracle=REAL_LINEAR),
    Case(
        "SumOperator",
        lambda lops, d: lops.Diagonal(d) + lops.Flip(4) - 2 * _derivative(lops),
        [random(4)],
    ),
    Case("SumOperator of a real model and others", lambda lops: lops.Real(3) + 1j * lops.Flip(3), oracle=REAL_LINEAR),
    Case(
        "ProductOperator",
        lambda lops, A, d: lops.MatrixMult(A) @ lops.Diagonal(d) @ lops.Flip(4),
        [random(2, 4), random(4)],
        opt_out=COMPOSED,
    ),
    Case("ProductOperator normal", lambda lops: _derivative(lops).H @ _derivative(lops)),
    Case(
        "ProductOperator normal of a real model", lambda lops: _spectrum(lops).H @ _spectrum(lops), oracle=REAL_LINEAR
    ),
    Case("ProductOperator transposed of a real model", lambda lops: _spectrum(lops).T @ _spectrum(lops), oracle=OURS),
    Case("ProductOperator of unlike shapes", lambda lops: lops.Flip((2, 3)) @ lops.Roll(6)),
    Case("PowerOperator", lambda lops: _derivative(lops) ** 3),
    Case("PowerOperator complex", lambda lops, d: lops.Diagonal(d, dtype="complex128") ** 2, [random(3, dtype=C128)]),
    Case("IdentityOperator", lambda lops: lops.Flip((2, 2)) ** 0, oracle=OURS),
]
