"""A solve as a linear operator."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchlops.linearoperator import CompositeOperator, LinearOperator
from torchlops.optimization import basic

SQUARE_SOLVERS = ("cg", "minres", "gmres", "bicgstab")
LEAST_SQUARES_SOLVERS = ("cgls", "lsqr", "lsmr")


class InverseOperator(CompositeOperator):
    r"""The solution operator :math:`y \mapsto A^{-1} y`, or :math:`y \mapsto A^+ y`, by an iterative solver.

    It is linear, and its adjoint (the same solver for :math:`A^H`) is one, to the tolerance of the solver. Its
    derivatives are those of the exact solution, also with respect to the tensors of ``A``.

    Args:
        A: The operator, or a part of ours whose solution is wanted.
        solver: Name of a function of ``torchlops.optimization.basic``.
        **options: Arguments of that function.

    Raises:
        ValueError: when the solver is not known, or needs a square operator.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        >>> torch.allclose(InverseOperator(A, "gmres").H(torch.tensor([2.0, 2.0])), torch.ones(2), atol=1e-5)
        True
    """

    def __init__(self, A: LinearOperator, solver: str, **options: Any) -> None:
        if solver not in SQUARE_SOLVERS + LEAST_SQUARES_SOLVERS:
            known = ", ".join(SQUARE_SOLVERS + LEAST_SQUARES_SOLVERS)
            raise ValueError(f"solver must be one of {known}, got {solver!r}")
        if solver in SQUARE_SOLVERS and A.shape[0] != A.shape[1]:
            raise ValueError(f"{solver} solves square systems, {A.name_and_type} is {A.shape}: take A.pinv()")
        M = options.get("M")
        super().__init__((A,) if M is None else (A, M), dims=A.dimsd, dimsd=A.dims, clinear=A.clinear)
        self.solver, self.options = solver, options

    def _forward(self, x: Tensor) -> Tensor:
        return self._solve(self.operators[0], x, self.options)

    def _adjoint(self, y: Tensor) -> Tensor:
        M = self.options.get("M")
        options = self.options if M is None else {**self.options, "M": M.H}
        return self._solve(self.operators[0].H, y, options)

    def _solve(self, A: LinearOperator, y: Tensor, options: dict[str, Any]) -> Tensor:
        x: Tensor = getattr(basic, self.solver)(A, y, **options).x
        return x

    def expression(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items() if name != "M")
        return f"Inverse({self.operators[0].expression()}, {self.solver}{options})"
