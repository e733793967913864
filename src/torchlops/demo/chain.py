"""The chain ``A sin(x)``: automatic and analytical derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import torchlops


@dataclass
class Chain:
    """The gradient ``J^T v`` and the Hessian of ``1/2 ||A sin(x) - y||^2``, each automatic and by formula."""

    gradient: Tensor
    gradient_by_formula: Tensor
    hessian: Tensor
    hessian_by_formula: Tensor
    hessian_forward: Tensor

    def rows(self) -> list[tuple[str, str, float, float]]:
        """Return the rows of the table: quantity, mode, norm, largest difference from the formula."""
        return [
            (what, mode, float(got.norm()), float((got - wanted).abs().max()))
            for what, mode, got, wanted in (
                ("gradient J^T v", "reverse", self.gradient, self.gradient_by_formula),
                ("Hessian", "forward over reverse", self.hessian, self.hessian_by_formula),
                ("Hessian", "forward over forward", self.hessian_forward, self.hessian_by_formula),
            )
        ]


def differentiate(n: int = 48) -> Chain:
    """Differentiate a sine followed by a smoothing first derivative."""
    A = torchlops.TorchOperator(torchlops.FirstDerivative(n) @ torchlops.Smoothing1D(5, n))
    t = torch.linspace(0, 1, n, dtype=torch.float64)
    x = 3 * torch.exp(-((t - 0.5) ** 2) / 0.03) + t
    y = torch.cos(6 * t)

    model = x.clone().requires_grad_()
    A.apply(torch.sin(model)).backward(y)
    assert model.grad is not None

    def cost(x: Tensor) -> Tensor:
        residual: Tensor = A(torch.sin(x)) - y
        return 0.5 * residual.square().sum()

    matrix = A.todense(backend="torch")
    slope = torch.diag(torch.cos(x))
    residual = matrix @ torch.sin(x) - y
    by_formula = slope @ matrix.T @ matrix @ slope - torch.diag(torch.sin(x) * (matrix.T @ residual))
    return Chain(
        gradient=model.grad,
        gradient_by_formula=torch.cos(x) * (matrix.T @ y),
        hessian=torch.func.hessian(cost)(x),
        hessian_by_formula=by_formula,
        hessian_forward=torch.func.jacfwd(torch.func.jacfwd(cost))(x),
    )
