"""Cases of the operators that copy, move, weigh and stack samples."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import torch

from tests.every_operator.case import Case, random

REAL_LABEL = "its real label makes PyLops drop the imaginary part or raise (defect 15)"
C128 = torch.complex128


def _sparse(rows: int, columns: int, is_complex: bool = False) -> scipy.sparse.csr_matrix:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((rows, columns)) + (1j * rng.standard_normal((rows, columns)) if is_complex else 0)
    return scipy.sparse.csr_matrix(np.where(rng.random((rows, columns)) < 0.5, values, 0))


# Functions of a module, since lambdas cannot be pickled.


def _integrate(x):
    return np.cumsum(x) * 2


def _integrate_adjoint(y):
    return np.cumsum(y[::-1])[::-1] * 2


def _integrate_tensor(x):
    return x.cumsum(0) * 2


def _integrate_tensor_adjoint(y):
    return y.flip(0).cumsum(0).flip(0) * 2


def _differences(x):
    return x[1:] - x[:-1]


def _differences_adjoint(y):
    return -np.diff(y, prepend=0, append=0)


def _function_operator(lops, arrays=None):
    if arrays is None:
        return lops.FunctionOperator(_integrate, _integrate_adjoint, 5)
    return lops.FunctionOperator(_integrate_tensor, _integrate_tensor_adjoint, 5, arrays=arrays)


NO_EXPORT = {"export": "torch.export cannot take torch.vmap over a batch of any size; aslinearoperator says so"}


CASES = [
    Case("MatrixMult tall", lambda lops, A: lops.MatrixMult(A), [random(5, 3)]),
    Case("MatrixMult wide complex", lambda lops, A: lops.MatrixMult(A, dtype="complex128"), [random(3, 5, dtype=C128)]),
    Case("MatrixMult one element", lambda lops, A: lops.MatrixMult(A), [random(1, 1)]),
    Case("MatrixMult otherdims", lambda lops, A: lops.MatrixMult(A, otherdims=(2, 3)), [random(4, 2)]),
    Case(
        "MatrixMult otherdims complex",
        lambda lops, A: lops.MatrixMult(A, otherdims=2, dtype="complex128"),
        [random(2, 3, dtype=C128)],
    ),
    Case("MatrixMult sparse", lambda lops: lops.MatrixMult(_sparse(6, 4))),
    Case("MatrixMult sparse complex", lambda lops: lops.MatrixMult(_sparse(3, 5, True), dtype="complex128")),
    Case("MatrixMult sparse otherdims", lambda lops: lops.MatrixMult(_sparse(3, 4), otherdims=(2,))),
    Case("Identity", lambda lops: lops.Identity(4)),
    Case("Identity one sample", lambda lops: lops.Identity(1)),
    Case("Identity more data", lambda lops: lops.Identity(5, 3)),
    Case("Identity more model 2-D", lambda lops: lops.Identity((2, 3), (4, 3))),
    Case("Zero", lambda lops: lops.Zero(3)),
    Case("Zero rectangular", lambda lops: lops.Zero(4, 2)),
    Case("Zero 2-D", lambda lops: lops.Zero((2, 3), (1, 4))),
    Case("Diagonal", lambda lops, d: lops.Diagonal(d), [random(5)]),
    Case("Diagonal complex", lambda lops, d: lops.Diagonal(d, dtype="complex128"), [random(4, dtype=C128)]),
    Case("Diagonal 2-D", lambda lops, d: lops.Diagonal(d), [random(2, 3)]),
    Case("Diagonal along axis 0", lambda lops, d: lops.Diagonal(d, dims=(3, 2), axis=0), [random(3)]),
    Case(
        "Diagonal along middle axis complex",
        lambda lops, d: lops.Diagonal(d, dims=(2, 3, 2), axis=1, dtype="complex128"),
        [random(3, dtype=C128)],
    ),
    Case("Restriction", lambda lops: lops.Restriction(6, [0, 2, 5])),
    Case("Restriction axis 0", lambda lops: lops.Restriction((4, 3), [3, 1], axis=0)),
    Case("Restriction repeated", lambda lops: lops.Restriction((3, 4), [1, 3, 1], axis=-1)),
    Case("Restriction middle axis repeated", lambda lops: lops.Restriction((2, 3, 2), [2, 2, 0, 1], axis=1)),
    Case(
        "Restriction mask",
        lambda lops: lops.Restriction((2, 3), np.array([[True, False, True], [False, True, False]])),
        oracle="PyLops takes no masks",
    ),
    Case("Restriction one sample", lambda lops: lops.Restriction(1, [0])),
    Case("Transpose 2-D", lambda lops: lops.Transpose((2, 3), axes=(1, 0))),
    Case("Transpose 3-D", lambda lops: lops.Transpose((2, 3, 4), axes=(2, 0, 1))),
    Case("Transpose identity", lambda lops: lops.Transpose((2, 3), axes=(0, 1))),
    Case("Flip", lambda lops: lops.Flip(5)),
    Case("Flip axis 0", lambda lops: lops.Flip((3, 2), axis=0)),
    Case("Flip middle axis", lambda lops: lops.Flip((2, 3, 2), axis=1)),
    Case("Roll", lambda lops: lops.Roll(5, shift=2)),
    Case("Roll backwards axis 0", lambda lops: lops.Roll((3, 2), axis=0, shift=-1)),
    Case("Roll more than once round", lambda lops: lops.Roll((2, 3), axis=1, shift=7)),
    Case("Pad", lambda lops: lops.Pad(3, (1, 2))),
    Case("Pad 2-D", lambda lops: lops.Pad((2, 3), ((1, 0), (2, 1)))),
    Case("Pad nothing", lambda lops: lops.Pad((2, 2), ((0, 0), (0, 0)))),
    Case("Sum", lambda lops: lops.Sum((3, 4))),
    Case("Sum axis 0", lambda lops: lops.Sum((3, 2), axis=0)),
    Case("Sum middle axis", lambda lops: lops.Sum((2, 3, 2), axis=1)),
    Case("Sum 1-D", lambda lops: lops.Sum(4)),
    Case("Symmetrize", lambda lops: lops.Symmetrize(4)),
    Case("Symmetrize one sample", lambda lops: lops.Symmetrize(1)),
    Case("Symmetrize axis 0", lambda lops: lops.Symmetrize((3, 2), axis=0)),
    Case("Symmetrize two samples 3-D", lambda lops: lops.Symmetrize((2, 2, 3), axis=1)),
    Case("Real", lambda lops: lops.Real(4)),
    Case("Real 2-D", lambda lops: lops.Real((2, 3))),
    Case("Real one sample", lambda lops: lops.Real(1)),
    Case("Imag", lambda lops: lops.Imag(4)),
    Case("Imag 2-D", lambda lops: lops.Imag((2, 3))),
    Case("Imag one sample", lambda lops: lops.Imag(1)),
    Case("Conj", lambda lops: lops.Conj(4)),
    Case("Conj 2-D", lambda lops: lops.Conj((2, 3))),
    Case("Conj one sample", lambda lops: lops.Conj(1)),
    Case("FunctionOperator NumPy", _function_operator),
    Case(
        "FunctionOperator NumPy rectangular",
        lambda lops: lops.FunctionOperator(_differences, _differences_adjoint, 3, 4),
    ),
    Case(
        "FunctionOperator torch",
        lambda lops: _function_operator(lops, "torch"),
        twin=_function_operator,
        opt_out=NO_EXPORT,
    ),
    Case(
        "FunctionOperator torch without its adjoint",
        lambda lops: lops.FunctionOperator(_integrate_tensor, 5, arrays="torch"),
        twin=_function_operator,
        opt_out=NO_EXPORT,
    ),
    Case(
        "VStack", lambda lops, A, B: lops.VStack([lops.MatrixMult(A), lops.MatrixMult(B)]), [random(2, 3), random(4, 3)]
    ),
    Case("VStack 2-D models", lambda lops: lops.VStack([lops.Flip((2, 3)), lops.Sum((2, 3), axis=0)])),
    Case("VStack of differing models and Zero", lambda lops: lops.VStack([lops.Zero(2, 4), lops.Flip((2, 2))])),
    Case(
        "VStack R-linear",
        lambda lops: lops.VStack([lops.Conj(3), lops.Identity(3, dtype="complex128")]),
    ),
    Case(
        "HStack", lambda lops, A, B: lops.HStack([lops.MatrixMult(A), lops.MatrixMult(B)]), [random(3, 2), random(3, 4)]
    ),
    Case("HStack 2-D data", lambda lops: lops.HStack([lops.Flip((2, 3)), lops.Identity((2, 3))])),
    Case("HStack with Zero last", lambda lops: lops.HStack([lops.Flip(3), lops.Zero(3, 2)])),
    Case(
        "Block",
        lambda lops, A: lops.Block([[lops.MatrixMult(A), lops.Identity(3)], [lops.Flip(2), lops.Zero(2, 3)]]),
        [random(3, 2)],
    ),
    Case(
        "Block with None",
        lambda lops: lops.Block([[None, lops.Identity(3)], [lops.Flip(2), None]]),
        twin=lambda lops: lops.Block([[lops.Zero(3, 2), lops.Identity(3)], [lops.Flip(2), lops.Zero(2, 3)]]),
    ),
    Case("Block one", lambda lops: lops.Block([[lops.Flip(2)]])),
    Case("BlockDiag", lambda lops, d: lops.BlockDiag([lops.Diagonal(d), lops.Flip(3)]), [random(3)]),
    Case("BlockDiag 2-D parts", lambda lops: lops.BlockDiag([lops.Flip((2, 2)), lops.Identity((2, 2))])),
    Case("BlockDiag of differing parts", lambda lops: lops.BlockDiag([lops.Flip((2, 2)), lops.Sum((2, 3))])),
    Case(
        "Kronecker",
        lambda lops, A, B: lops.Kronecker(lops.MatrixMult(A), lops.MatrixMult(B)),
        [random(2, 3), random(3, 2, seed=1)],
    ),
    Case("Kronecker 2-D parts", lambda lops: lops.Kronecker(lops.Sum((2, 2)), lops.Flip((1, 3)))),
    Case(
        "Kronecker complex",
        lambda lops, A: lops.Kronecker(lops.MatrixMult(A, dtype="complex128"), lops.Identity(2), dtype="complex128"),
        [random(2, 2, dtype=C128)],
    ),
]
