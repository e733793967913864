"""No scale is special: results of a problem times a factor are those of the problem, times the factor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jacfwd

import torchlops
from torchlops.optimization import Implicit, Status, basic

LEAST_SQUARES = ("cgls", "lsqr", "lsmr")
SQUARE = ("cg", "minres", "gmres", "bicgstab")
FACTORS = (1e-12, 1e12)
POWERS = {  # of the factors of the data, and of the operator
    "x": (1, -1), "cost": (1, 0), "rnorm": (1, 0), "r1norm": (1, 0), "r2norm": (1, 0), "normr": (1, 0),
    "arnorm": (1, 1), "normar": (1, 1), "xnorm": (1, -1), "normx": (1, -1), "anorm": (0, 1), "norma": (0, 1),
    "acond": (0, 0), "conda": (0, 0), "var": (0, -2),
}  # fmt: skip


def tolerances(name: str, rtol: float) -> dict[str, Any]:
    chosen = {"cgls": ["gtol"], "lsqr": ["atol", "btol"], "lsmr": ["atol", "btol"]}.get(name, ["rtol1"])
    absolute = {} if name in ("lsqr", "lsmr") else {"tol": 0.0}
    return {"niter": 60, **absolute, **dict.fromkeys(chosen, rtol)}


def problem(name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    A = torch.randn(9, 5, dtype=torch.float64)
    if name in SQUARE:
        A = A.mT @ A + torch.eye(5)
    return A.to(dtype), torch.randn(3, A.shape[0], dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LEAST_SQUARES + SQUARE)
def test_solutions_and_their_numbers(name, dtype):
    A, y = problem(name, dtype)
    rtol = 1e-4 if dtype == torch.float32 else 1e-10
    solve = getattr(basic, name)

    def solved(of_data: float, of_operator: float, y: Tensor, damp: float) -> Any:
        return solve(
            torchlops.MatrixMult(A * of_operator), y * of_data, damp=damp * of_operator, **tolerances(name, rtol)
        )

    for data in (y, y[0]):
        for damp in (0.0, 0.5):
            plain = solved(1.0, 1.0, data, damp)
            for s in (1.0, *FACTORS):
                for a in (1.0, *FACTORS):
                    result = solved(s, a, data, damp)
                    assert torch.as_tensor(result.status == Status.CONVERGED).all(), (s, a, damp)
                    for number, (of_data, of_operator) in POWERS.items():
                        wanted = getattr(plain, number, None)
                        if wanted is None:
                            continue
                        found = torch.as_tensor(getattr(result, number), dtype=torch.float64)
                        found = found / s**of_data / a**of_operator
                        wanted = torch.as_tensor(wanted, dtype=torch.float64)
                        if number in ("cost", "rnorm", "arnorm", "normar") or (damp == 0 and "norm" in number):
                            # at the end they are rounding, or nearly so: against their size at the start
                            size = y.norm().item() * (A.norm().item() if "ar" in number else 1.0)
                            count = min(len(found), len(wanted)) if number == "cost" else None
                            torch.testing.assert_close(found[:count] if count else found, wanted[:count] if count else wanted, rtol=30 * rtol, atol=30 * rtol * size)  # fmt: skip  # noqa: E501
                        else:
                            torch.testing.assert_close(found, wanted, rtol=30 * rtol, atol=0.0, msg=f"{number} {s} {a}")


@pytest.mark.parametrize("name", LEAST_SQUARES + SQUARE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivatives(name, dtype):
    A, y = problem(name, dtype)
    rtol = 1e-5 if dtype == torch.float32 else 1e-11
    v = torch.randn(3, A.shape[1], dtype=dtype)

    def layer(s: float, a: float) -> tuple[Any, tuple[Tensor, ...]]:
        def function(A: Tensor, y: Tensor, damp: Tensor) -> Tensor:
            x: Tensor = getattr(basic, name)(
                torchlops.MatrixMult(A), y, damp=damp, grad=Implicit(rtol=rtol), **tolerances(name, rtol)
            ).x
            return x

        return function, (A * a, y * s, torch.tensor(0.5 * a, dtype=dtype))

    def gradients(s: float, a: float, u: float) -> list[Tensor]:
        function, arguments = layer(s, a)
        inputs = [t.clone().requires_grad_() for t in arguments]
        gradients = torch.autograd.grad(function(*inputs), inputs, v * u)
        scales = (s / a**2, 1 / a, s / a**2)  # of x = s / a x_1 by the factors of A, y and the damping
        return [g.double() / k / u for g, k in zip(gradients, scales, strict=True)]

    wanted = gradients(1.0, 1.0, 1.0)
    for s in (1.0, *FACTORS):
        for a in (1.0, 1e-6, 1e6) if dtype == torch.float32 else (1.0, *FACTORS):  # float32 ends at 1e38
            for found, want in zip(gradients(s, a, 1.0), wanted, strict=True):
                torch.testing.assert_close(found, want, rtol=1e3 * rtol, atol=1e3 * rtol * want.abs().max().item())
    for u in (1e-12, 1e12):  # of the gradient that comes in
        for found, want in zip(gradients(1.0, 1.0, u), wanted, strict=True):
            torch.testing.assert_close(found, want, rtol=1e3 * rtol, atol=1e3 * rtol * want.abs().max().item())
    function, (A, y, damp) = layer(1e-12, 1.0)
    forward = jacfwd(lambda d: function(A, y, d))(damp)
    backward = torch.func.jacrev(lambda d: function(A, y, d))(damp)
    torch.testing.assert_close(forward, backward, rtol=1e3 * rtol, atol=1e3 * rtol * backward.abs().max().item())


@pytest.mark.parametrize("name", LEAST_SQUARES + SQUARE)
def test_no_square_underflows_in_single_precision(name):
    A, y = problem(name, torch.float32)
    wanted = getattr(basic, name)(torchlops.MatrixMult(A), y, **tolerances(name, 1e-5)).x
    for s in (1e-16, 1e-22, 1e-28, 1e-34, 1e20, 1e30):
        result = getattr(basic, name)(torchlops.MatrixMult(A), y * s, **tolerances(name, 1e-5))
        assert bool(result.converged.all())
        torch.testing.assert_close(result.x / s, wanted, rtol=1e-3, atol=1e-4)


def test_the_condition_number_of_lsmr_does_not_know_the_norm():
    A, y = problem("lsmr", torch.float64)
    conditions = [
        basic.lsmr(torchlops.MatrixMult(a * A), y[0], niter=5, atol=0, btol=0, conlim=0).conda for a in (1.0, 1e-12)
    ]
    assert conditions[0] == pytest.approx(conditions[1], rel=1e-6)


@pytest.mark.parametrize("solver", ["cg", "cgls", "lsmr", "gmres"])
def test_inverses_are_linear_at_every_scale(solver):
    A, y = problem(solver, torch.float64)
    inverse = torchlops.MatrixMult(A).inverse(solver) if solver in SQUARE else torchlops.MatrixMult(A).pinv(solver)
    for s in FACTORS:
        torch.testing.assert_close(inverse(s * y) / s, inverse(y), rtol=1e-5, atol=1e-8)
