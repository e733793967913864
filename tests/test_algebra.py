"""Operators made of operators, against the same algebra of their matrices."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pylops
import pytest
import scipy.sparse.linalg
import torch
from torch import Tensor, nn

import torchlops
from torchlops import (
    Block,
    BlockDiag,
    Conj,
    Diagonal,
    FirstDerivative,
    Flip,
    HStack,
    Identity,
    Kronecker,
    LinearOperator,
    MatrixMult,
    Real,
    Roll,
    TorchOperator,
    VStack,
    aslinearoperator,
    testing,
)
from torchlops.linearoperator import (
    AdjointOperator,
    IdentityOperator,
    PowerOperator,
    ProductOperator,
    ScaledOperator,
    SumOperator,
)
from torchlops.optimization.eigs import operator_norm
from torchlops.signalprocessing import FFT

C128 = torch.complex128


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = C128) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


M = numbers(3, 4)
N = numbers(3, 4, seed=1)
K = numbers(4, 3, seed=2)
S = numbers(4, 4, seed=3)


def matrix(values: Tensor, **kwargs: Any) -> MatrixMult:
    return MatrixMult(values.clone(), **kwargs)


def assert_is(operator: LinearOperator, wanted: Tensor) -> None:
    """Check the matrix of an operator, of its adjoint, and of its transpose and conjugate."""
    for got, want in (
        (operator, wanted),
        (operator.H, wanted.mH),
        (operator.T, wanted.mT),
        (operator.conj(), wanted.conj()),
        (operator.H.H, wanted),
        (operator.T.T, wanted),
        (operator.conj().conj(), wanted),
        (operator.H.T, wanted.conj()),
        (operator.T.H, wanted.conj()),
        (operator.conj().H, wanted.mT),
    ):
        torch.testing.assert_close(got.todense("torch"), want.to(C128).resolve_conj(), check_dtype=False)
        assert got.shape == want.shape


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: matrix(M), M),
        (lambda: matrix(M) + matrix(N), M + N),
        (lambda: matrix(M) - matrix(N), M - N),
        (lambda: -matrix(M), -M),
        (lambda: 2 * matrix(M), 2 * M),
        (lambda: matrix(M) * 2, 2 * M),
        (lambda: matrix(M) / 4, M / 4),
        (lambda: (1 + 2j) * matrix(M), (1 + 2j) * M),
        (lambda: matrix(M) * (1 + 2j), (1 + 2j) * M),
        (lambda: matrix(M) / 2j, M / 2j),
        (lambda: np.float64(3) * matrix(M), 3 * M),
        (lambda: matrix(M) * np.complex64(3j), 3j * M),
        (lambda: matrix(M) * torch.tensor(3.0), 3 * M),
        (lambda: torch.tensor(3j) * matrix(M), 3j * M),
        (lambda: matrix(M) * np.array(2.5), 2.5 * M),
        (lambda: matrix(M) @ matrix(K), M @ K),
        (lambda: matrix(M) * matrix(K), M @ K),
        (lambda: matrix(M).dot(matrix(K)), M @ K),
        (lambda: matrix(M) @ matrix(S) @ matrix(K), M @ S @ K),
        (lambda: matrix(S) ** 0, torch.eye(4)),
        (lambda: matrix(S) ** 1, S),
        (lambda: matrix(S) ** 3, S @ S @ S),
        (lambda: sum([matrix(M), matrix(N), matrix(M)]), 2 * M + N),
        (lambda: (2 * matrix(M)) @ (3 * matrix(K)), 6 * M @ K),
        (lambda: 1j * (matrix(M) + 2j * matrix(N)), 1j * M - 2 * N),
        (lambda: (matrix(M) @ matrix(K) + 2 * matrix(M) @ matrix(K)) ** 2, 9 * M @ K @ M @ K),
        (lambda: matrix(M).H @ matrix(M), M.mH @ M),
        (lambda: matrix(M).apply_columns([3, 0, -2]), M[:, [3, 0, 2]]),
        (lambda: (2 * matrix(M)).apply_columns(np.array([1])), 2 * M[:, [1]]),
    ],
)
def test_algebra_is_that_of_matrices(make: Any, wanted: Tensor) -> None:
    assert_is(make(), wanted)


@pytest.mark.parametrize("values", [M, M.real], ids=["complex", "real"])
@pytest.mark.parametrize(("forw", "adj"), [(True, True), (True, False), (False, True), (False, False)])
def test_parts_against_matrices(values: Tensor, forw: bool, adj: bool) -> None:
    A = matrix(values)
    x, y = numbers(4, seed=5), numbers(3, seed=6)
    for operator, part in ((A.toreal(forw, adj), torch.real), (A.toimag(forw, adj), torch.imag)):
        data = values.to(C128) @ (x.real.to(C128) if adj else x)
        torch.testing.assert_close(operator(x), part(data) if forw else data, check_dtype=False)
        left = (operator(x).conj() * y).sum().real
        right = (x.conj() * operator.H(y)).sum().real
        torch.testing.assert_close(left, right)


def test_a_view_of_a_view_is_the_operator() -> None:
    A = matrix(M)
    assert A.H.H is A
    assert A.T.T is A
    assert A.conj().conj() is A
    assert A.H.adjoint() is A
    assert A.transpose().transpose() is A
    assert (2 * A) * 0.5 is A
    assert (-A) * -1 is A
    assert (matrix(S) ** 1).expression() == matrix(S).expression()


def test_compositions_are_flat() -> None:
    A, B = matrix(M), matrix(N)
    total = (A + B) + (A + (B + A))
    assert isinstance(total, SumOperator)
    assert len(total.operators) == 5
    chain = (A @ matrix(S)) @ (matrix(S) @ matrix(K))
    assert isinstance(chain, ProductOperator)
    assert len(chain.operators) == 4
    assert [type(part) for part in chain.H.operators] == [AdjointOperator] * 4
    assert isinstance(total.H, SumOperator)
    assert isinstance(2 * (3 * A), ScaledOperator)
    assert (2 * (3 * A)).operators == (A,)
    scaled = (2 * A) @ (3 * matrix(K))
    assert isinstance(scaled, ScaledOperator)
    assert scaled.alpha == 6
    assert isinstance(scaled.operators[0], ProductOperator)
    assert isinstance((matrix(S) ** 3).H, PowerOperator)


def test_identities_vanish() -> None:
    A = matrix(M)
    assert A @ Identity(4, dtype="complex128") is A
    assert Identity(3) @ A is A
    assert (matrix(S) ** 0) @ matrix(S) != 0
    product = A @ Identity(4) @ matrix(S) @ (matrix(S) ** 0) @ matrix(K)
    assert len(product.operators) == 3
    assert isinstance(Identity(3) @ IdentityOperator(3), LinearOperator)


def test_an_identity_that_carries_a_shape_stays() -> None:
    A = Flip((2, 3)) @ Identity(6)
    assert (A.dims, A.dimsd) == ((6,), (2, 3))
    torch.testing.assert_close(A(torch.arange(6.0)), torch.tensor([[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]))


@pytest.mark.parametrize("part", [Real(3), Conj(3), FFT(3, real=True)], ids=["Real", "Conj", "FFT"])
@pytest.mark.parametrize("alpha", [2 - 1j, torch.tensor(0.5 + 2j, dtype=C128)], ids=["number", "tensor"])
def test_complex_factors_of_real_linear_operators(part: LinearOperator, alpha: Any) -> None:
    """The factor does not commute with such an operator, and its adjoint is the one under Re<.,.>."""
    x = numbers(3) if not part.real_model else numbers(3).real
    y = numbers(part.dimsd[0], seed=1)
    z = numbers(part.dimsd[0], seed=2)
    scaled = alpha * part
    torch.testing.assert_close(scaled(x), alpha * part(x), check_dtype=False)
    torch.testing.assert_close((scaled(x).conj() * y).sum().real, (x.conj() * scaled.H(y)).sum().real)
    again = (Diagonal(z, dtype="complex128") @ scaled) + part
    torch.testing.assert_close(again(x), z * alpha * part(x) + part(x), check_dtype=False)
    torch.testing.assert_close((again(x).conj() * y).sum().real, (x.conj() * again.H(y)).sum().real)


def test_complex_factor_stays_behind_a_real_linear_operator() -> None:
    A = Real(2) @ (1j * Flip(2))
    x = torch.tensor([1 + 2j, 3 - 1j])
    torch.testing.assert_close(A(x), torch.tensor([1.0, -2.0]))
    torch.testing.assert_close((Real(2) @ (2 * Flip(2)))(x), torch.tensor([6.0, 2.0]))


# -- tensors and parameters as factors -------------------------------------------------------------------------


def test_a_parameter_as_factor_is_learnt() -> None:
    alpha = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    A = FirstDerivative(4, kind="forward")
    x = numbers(4).real
    for operator in (alpha * A, A * alpha, 3 * (alpha * A), -(A * alpha), (alpha * A).H @ Flip(4), A @ (alpha * A)):
        assert [id(parameter) for parameter in operator.parameters()] == [id(alpha)]
        assert len(operator.state_dict()) == 1
        (got,) = torch.autograd.grad(operator(x).sum(), alpha)
        one = copy.deepcopy(operator)
        with torch.no_grad():
            next(one.parameters()).fill_(1)
        torch.testing.assert_close(got, one(x).sum().detach())  # each is linear in alpha


def test_a_tensor_as_factor_moves_and_is_stored_once() -> None:
    alpha = torch.tensor(2.0, dtype=torch.float64)
    A = alpha * FirstDerivative(4)
    for operator in (A, A.H, A.H @ A, 2 * (A.H @ A), A + A, A**2):
        tensors = list(operator.state_dict().values())
        assert len(tensors) == 1, operator
    assert A.float().alpha.dtype == torch.float32
    assert A.to("meta").alpha.is_meta


def test_a_factor_that_is_changed_in_place_is_seen() -> None:
    alpha = torch.tensor(2.0, dtype=torch.float64)
    flip = Flip(2)
    operators = [alpha * flip, 3 * (alpha * flip), -(alpha * flip), (alpha * flip) @ (alpha * flip)]
    x = torch.ones(2, dtype=torch.float64)
    assert [operator(x)[0].item() for operator in operators] == [2, 6, -2, 4]
    alpha.fill_(5)
    assert [operator(x)[0].item() for operator in operators] == [5, 15, -5, 25]


def test_a_factor_with_a_graph_keeps_it() -> None:
    leaf = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    A = (leaf * leaf) * Flip(2)
    (gradient,) = torch.autograd.grad((2 * A)(torch.ones(2, dtype=torch.float64)).sum(), leaf)
    assert gradient.item() == 2 * 2 * 2 * 3


# -- parts of different shapes, refusals -----------------------------------------------------------------------


def test_parts_of_one_size_and_different_shapes() -> None:
    x = torch.arange(6.0, dtype=torch.float64)
    A, B = Flip((2, 3)), Roll(6)
    torch.testing.assert_close((A @ B)(x), A(B(x).reshape(2, 3)))
    torch.testing.assert_close((B @ A)(x.reshape(2, 3)), B(A(x.reshape(2, 3)).reshape(6)))
    torch.testing.assert_close((A + B)(x.reshape(2, 3)), A(x.reshape(2, 3)) + B(x).reshape(2, 3))
    torch.testing.assert_close((B + A).H(x.reshape(2, 3)), (A + B).H(x.reshape(2, 3)))
    assert (A + B).dims == (B + A).dims == (2, 3)
    assert torch.equal((A @ B).H.todense("torch"), (A @ B).todense("torch").mT)


@pytest.mark.parametrize(
    ("compute", "error", "says"),
    [
        (lambda: matrix(M) @ matrix(M), ValueError, "takes models of size 4 .* returns data of size 3"),
        (lambda: matrix(M) + matrix(K), ValueError, "different shapes"),
        (lambda: matrix(M) ** 2, ValueError, "square"),
        (lambda: matrix(S) ** -1, ValueError, "0 or more"),
        (lambda: matrix(S) ** 1.5, TypeError, "must be an integer"),
        (lambda: matrix(S) @ 2, TypeError, r"number \* A"),
        (lambda: matrix(S) + 1, TypeError, "unsupported operand"),
        (lambda: 1 + matrix(S), TypeError, "unsupported operand"),
        (lambda: matrix(S) - numbers(4), TypeError, "cannot be added to an operator.*aslinearoperator"),
        (lambda: np.ones((4, 4)) + matrix(S), TypeError, "cannot be added to an operator.*aslinearoperator"),
        (lambda: np.ones((4, 4)) - matrix(S), TypeError, "cannot be added to an operator.*aslinearoperator"),
        (lambda: matrix(S) @ scipy.sparse.csr_array(np.ones((4, 4))), TypeError, r"@ csr_array: .*aslinearoperator"),
        (lambda: matrix(S) + scipy.sparse.csr_array(np.ones((4, 4))), TypeError, "aslinearoperator"),
        (lambda: matrix(S) * scipy.sparse.csr_array(np.ones((4, 4))), TypeError, "aslinearoperator"),
        (lambda: matrix(S) / matrix(S), TypeError, "unsupported operand"),
        (lambda: matrix(M).apply_columns([4]), ValueError, "must be from -4 to 3"),
        (lambda: matrix(M).apply_columns([]), ValueError, "non-empty, one-dimensional list"),
    ],
)
def test_refusals_say_why(compute: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        compute()


def test_operators_of_scipy_and_pylops_are_converted() -> None:
    dense, other = S.numpy(), np.arange(16.0).reshape(4, 4)
    x = torch.ones(4, dtype=torch.float64, requires_grad=True)
    for foreign in (scipy.sparse.linalg.aslinearoperator(other), pylops.MatrixMult(other)):
        for composed, wanted in (
            (matrix(S) @ foreign, dense @ other),
            (matrix(S) * foreign, dense @ other),
            (matrix(S).dot(foreign), dense @ other),
            (matrix(S) + foreign, dense + other),
            (matrix(S) - foreign, dense - other),
        ):
            assert isinstance(composed, LinearOperator)
            np.testing.assert_allclose(composed.todense(), wanted)
            assert torch.autograd.gradcheck(composed, (x,))


def test_repr_shows_the_composition_and_the_shapes() -> None:
    A, B = Flip(3), Roll(3)
    shown = {
        "": A,
        ".H": A.H,
        ".T": A.T,
        ".conj()": A.conj(),
    }
    flip = A.expression()
    for suffix, operator in shown.items():
        assert repr(operator) == f"<3x3 {flip}{suffix}: (3,) -> (3,), float64>"
    roll = B.expression()
    assert repr(2 * (A + B) @ B.H) == f"<3x3 2 * (({flip} + {roll}) @ {roll}.H): (3,) -> (3,), float64>"
    assert (A**2).expression() == f"{flip} ** 2"
    assert ((1 + 2j) * A).dtype == np.complex128
    assert "apply_columns([0, 2])" in repr(A.apply_columns([0, 2]))


def test_views_carry_the_names_of_their_operators() -> None:
    A = Flip(3, name="turn")
    for view, name in ((A.H, "Flip 'turn'.H"), (A.T, "Flip 'turn'.T"), (A.conj(), "Flip 'turn'.conj()")):
        with pytest.raises(ValueError, match="takes") as caught:
            view(torch.ones(4))
        assert str(caught.value).startswith(name)


def test_views_share_tensors_and_follow_casts() -> None:
    A = matrix(M.real)
    view = A.H
    A.float()
    assert view.dtype == np.float32
    assert view(torch.ones(3)).dtype == torch.float32
    composite = A.H @ A
    composite.double()
    assert A.dtype == np.float64
    assert next(iter(composite.state_dict().values())).data_ptr() == A.A.data_ptr()
    again = copy.deepcopy(composite)
    assert again.operators[0].operators[0] is again.operators[1]  # a copy has one copy of a part that stands twice


# -- real models and R-linear parts in compositions ------------------------------------------------------------


class OfRealModels(LinearOperator):
    """A matrix that takes real models only."""

    def __init__(self, values: Tensor, clinear: bool) -> None:
        super().__init__(values.shape[1], values.shape[0], clinear=clinear, real_model=True)
        self._register("values", values)

    def _forward(self, x: Tensor) -> Tensor:
        return x.to(self.values.dtype) @ self.values.mT

    def _adjoint(self, y: Tensor) -> Tensor:
        if not self.values.is_complex():
            y = y.real if y.is_complex() else y
        return (y.to(self.values.dtype) @ self.values.conj()).real.clone()


def _parts() -> dict[str, LinearOperator]:
    square = numbers(3, 3, seed=7)
    antilinear = aslinearoperator(pylops.FunctionOperator(np.conj, np.conj, 3, dtype="complex128"))
    antilinear.clinear = antilinear._function.clinear = False
    return {
        "real model": OfRealModels(square, clinear=False),
        "real model, real data": OfRealModels(square.real.clone(), clinear=True),
        "its adjoint": OfRealModels(square, clinear=False).H,
        "complex matrix": matrix(square),
        "Conj": Conj(3),
        "Real": Real(3),
        "foreign conj": antilinear,
    }


COMPOSITES = {
    "sum": lambda A, B: A + B,
    "product": lambda A, B: A @ B,
    "VStack": lambda A, B: VStack([A, B]),
    "HStack": lambda A, B: HStack([A, B]),
    "BlockDiag": lambda A, B: BlockDiag([A, B]),
    "Block": lambda A, B: Block([[A, None], [B, A]]),
    "Kronecker": lambda A, B: Kronecker(A, B),
    "chain": lambda A, B: (1 + 2j) * (A + B @ Conj(3)) @ (2j * B),
    "toreal": lambda A, B: (A + B).toreal(adj=False),
    "toimag": lambda A, B: (A @ B).toimag(forw=False),
    "TorchOperator": lambda A, B: TorchOperator(A + 1j * B),
    "power": lambda A, B: (A + B) ** 2,
}


NAMES = list(_parts())
PAIRS = [
    (name, first, second)
    for name in COMPOSITES
    for i, first in enumerate(NAMES)
    for j, second in enumerate(NAMES)
    if name in ("sum", "product") or (i - j) % len(NAMES) in (1, 3)
]


@pytest.mark.parametrize(("name", "first", "second"), PAIRS)
def test_real_models_and_real_linear_parts_in_compositions(name: str, first: str, second: str) -> None:
    """What a composition takes, its adjoint under Re<.,.>, its matrix, its derivative: all from its forward."""
    A = COMPOSITES[name](_parts()[first], _parts()[second])
    x = numbers(*A.dims, dtype=torch.float64)
    try:
        A(x)
    except TypeError as error:  # a part that takes real models comes after one that gives complex data
        assert "takes real models" in str(error)  # noqa: PT017
        return
    if not A.real_model:
        A(x + 0j)
    views = [A, A.T, A.conj(), A.H @ A, (1 - 2j) * A, A.toimag()] if name in ("sum", "product") else [A]
    for operator in views:
        testing.check_adjoint(operator)
        testing.check_dense(operator)
    for operator in (A, A.H):
        models = numbers(2, *A.dims, dtype=torch.float64 if A.real_model else C128)
        x, y = (models, operator(models)) if operator is A else (A(models), A.H(A(models)))
        cotangent = torch.randn_like(y)
        leaf = x.clone().requires_grad_()
        (got,) = torch.autograd.grad(operator(leaf), leaf, cotangent)
        want = operator.H(cotangent)
        want = want if x.is_complex() or not want.is_complex() else want.real
        torch.testing.assert_close(got, want, check_dtype=False)


def test_solvers_take_compositions_of_real_models() -> None:
    weights = nn.Parameter(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    A = VStack([FFT(4, real=True) @ Diagonal(weights), 2j * Identity(4)])
    dense = A.todense("torch")
    x = numbers(4).real
    assert A.real_model
    torch.testing.assert_close(dense @ x.to(C128), A(x))
    data = A(x).detach()
    for solver in (torchlops.cgls, torchlops.lsqr, torchlops.lsmr):
        torch.testing.assert_close(solver(A, data, niter=50).x, x, rtol=1e-6, atol=1e-6)
    spectrum = operator_norm(A)
    real = torch.cat([dense.real, dense.imag])
    wanted = torch.linalg.matrix_norm(real, 2)
    torch.testing.assert_close(spectrum, wanted)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, weights, retain_graph=True)[0] for value in (spectrum, wanted))
    )


def test_a_zero_imaginary_part_stays_in_the_graph() -> None:
    A = Flip(3).toimag()
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.tensor([1.0, torch.inf, -2.0], dtype=dtype, requires_grad=True)
        y = A(x)
        assert y.requires_grad
        assert y.dtype == dtype
        assert y.tolist() == [0, 0, 0]
        assert torch.autograd.grad(y.sum(), x)[0].tolist() == [0, 0, 0]
    testing.check_derivatives(A)
    testing.check_functorch(A)
