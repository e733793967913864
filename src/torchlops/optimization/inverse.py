"""A solve as a linear operator."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from torchlops.linearoperator import CompositeOperator, LinearOperator
from torchlops.optimization import krylov
from torchlops.optimization.implicit.solve import check, solve
from torchlops.optimization.solver.options import Options, SolveOptions
from torchlops.optimization.solver.solver import Solver
from torchlops.torchoperator import aslinearoperator

SOLVERS: dict[str, Solver[Any]] = {
    "cg": krylov.CG(tol=0.0, rtol1=1e-6),
    "minres": krylov.MINRES(),
    "gmres": krylov.GMRES(),
    "bicgstab": krylov.BiCGSTAB(),
    "cgls": krylov.CGLS(tol=0.0, gtol=1e-6),
    "lsqr": krylov.LSQR(),
    "lsmr": krylov.LSMR(),
}
"""The solvers of inverses. All tolerances are relative: with an absolute one, an inverse would not be linear."""


class InverseOperator(CompositeOperator):
    r"""The solution operator :math:`y \mapsto A^{-1} y`, or :math:`y \mapsto A^+ y`, by an iterative solver.

    It is linear, and its adjoint (the same solver for :math:`A^H`) is one, to the tolerance of the solver. Its
    derivatives are those of the exact solution, also with respect to the tensors of ``A``. A solve that stops before it
    has converged warns.

    Args:
        A: The operator, or a part of ours whose solution is wanted.
        solver: ``"cg"``, ``"minres"``, ``"gmres"``, ``"bicgstab"``, ``"cgls"``, ``"lsqr"`` or ``"lsmr"``.
        niter: Maximum number of iterations.
        damp: The damping.
        M: Preconditioner, an approximate inverse of the operator, where the solver takes one.
        **options: Tolerances and other options of the solver (see ``torchlops.optimization.krylov``; by default 1e-6
            or less, relative to the data or the gradient), and those of
            :class:`~torchlops.optimization.solver.options.Options`.

    Raises:
        ValueError: when the solver is not known, or needs a square operator.
        TypeError: when it has no such option.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        >>> torch.allclose(InverseOperator(A, "gmres").H(torch.tensor([2.0, 2.0])), torch.ones(2), atol=1e-5)
        True
    """

    def __init__(
        self, A: LinearOperator, solver: str, niter: int = 100, damp: Any = 0.0, M: Any = None, **options: Any
    ) -> None:
        if solver not in SOLVERS:
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
        if SOLVERS[solver].kind == "square" and A.shape[0] != A.shape[1]:
            raise ValueError(f"{solver} solves square systems, {A.name_and_type} is {A.shape}: take A.pinv()")
        M = None if M is None else aslinearoperator(M)
        super().__init__((A,) if M is None else (A, M), dims=A.dimsd, dimsd=A.dims, clinear=A.clinear)
        own = [each.name for each in fields(SOLVERS[solver])]
        unknown = [name for name in options if name not in own and name not in SolveOptions.__annotations__]
        if unknown:
            raise TypeError(
                f"the inverse of {A.name_and_type} by {solver} has no option {', '.join(unknown)}: it takes niter, "
                f"damp, M, {', '.join((*own, *SolveOptions.__annotations__))}"
            )
        self.solver, self.niter, self.damp, self.options = solver, niter, damp, options
        how: Any = {name: value for name, value in options.items() if name not in own}
        self._how = Options(**how)
        self._solver = replace(SOLVERS[solver], **{name: options[name] for name in own if name in options})
        check(self._solver, A, M, self._how)

    def _forward(self, x: Tensor) -> Tensor:
        return self._solve(x, *self.operators)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._solve(y, *(part.H for part in self.operators))

    def _solve(self, y: Tensor, A: LinearOperator, M: LinearOperator | None = None) -> Tensor:
        x: Tensor = solve(
            self._solver, A, y, niter=self.niter, weight=self.damp, M=M, options=self._how, must_converge=True
        ).x
        return x

    def expression(self) -> str:
        given = {"niter": self.niter, "damp": self.damp, **self.options}
        options = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"Inverse({self.operators[0].expression()}, {self.solver}{options})"


def divide(A: LinearOperator, y: Any, niter: int = 100) -> Any:
    """Return the least-squares solution of ``A x = y`` by LSQR, and warn where it has not converged.

    Args:
        A: The operator.
        y: Data, ``(*batch, *dimsd)`` or flattened.
        niter: Maximum number of iterations.

    Example:
        >>> import torch, torchlops
        >>> divide(torchlops.Diagonal(torch.tensor([1.0, 2.0])), torch.ones(2))
        tensor([1.0000, 0.5000])
    """
    return solve(krylov.LSQR(), A, y, niter=niter, must_converge=True).x
