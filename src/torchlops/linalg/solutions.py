r"""Solutions of ``A x = y`` for an operator, as functions like those of ``torch.linalg``, and as an operator.

The public names are in :mod:`torchlops.linalg`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchlops.arrays import complex_dtype
from torchlops.linalg.dense import Method, dense_matrix, is_dense
from torchlops.linearoperator import CompositeOperator, LinearOperator
from torchlops.optimization import krylov
from torchlops.optimization.implicit.solve import NO_GRAPH, check
from torchlops.optimization.implicit.solve import solve as solve_implicitly
from torchlops.optimization.solver.options import Options, SolveOptions
from torchlops.optimization.solver.problem import read_data
from torchlops.optimization.solver.result import describe, say
from torchlops.optimization.solver.solver import Solver
from torchlops.optimization.solver.state import Status
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.torch_internals import is_plain_eager, is_wrapped, uncompiled
from torchlops.torchoperator import aslinearoperator, solve_matrix

SQUARE_SOLVERS: dict[str, type[Solver[Any]]] = {
    "cg": krylov.CG,
    "minres": krylov.MINRES,
    "gmres": krylov.GMRES,
    "bicgstab": krylov.BiCGSTAB,
}
LEAST_SQUARES_SOLVERS: dict[str, type[Solver[Any]]] = {"cgls": krylov.CGLS, "lsqr": krylov.LSQR, "lsmr": krylov.LSMR}
_SOLVERS = {**SQUARE_SOLVERS, **LEAST_SQUARES_SOLVERS}


def solve(A: LinearOperator, B: Any, *, method: Method = None, solver: str | None = None, **options: Any) -> Any:
    """Return the solution of ``A x = B`` for a square, invertible operator.

    Args:
        A: The operator. If it implements its inverse, as an FFT does, that is used.
        B: Data ``(*batch, *dimsd)`` or flattened, a tensor or another array.
        method: See :mod:`torchlops.linalg`.
        solver: Name of the iterative solver: ``"lsmr"`` (the default; it always converges, in a number of iterations
            proportional to the condition number), ``"lsqr"`` or ``"cgls"``; ``"cg"`` for positive definite operators,
            ``"minres"`` for Hermitian ones, ``"gmres"`` or ``"bicgstab"`` for others.
        **options: Arguments of the solver function in ``torchlops.optimization``. The default tolerance is somewhat
            above the machine epsilon of the dtype, the default ``niter`` is 10 times the number of unknowns plus 100,
            but at most 10,000.

    Returns:
        The model ``(*batch, *dims)``, an array of the same kind as ``B``. A warning is issued if the solver does not
        converge.

    Raises:
        torch.linalg.LinAlgError: If the matrix is singular.

    Example:
        >>> import torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        >>> solve(A, torch.tensor([3.0, 1.0]))
        tensor([1., 1.])
    """
    A = aslinearoperator(A)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"solve takes square operators, but {A.name_and_type} has shape {A.shape}: use linalg.lstsq")
    y, layout = read_data(A, B)
    if layout.back is None:
        return _solved(A, y, method, solver, options)
    with torch.no_grad():
        return layout.back(_solved(A, y, method, solver, options))


def _solved(A: LinearOperator, y: Tensor, method: Method, solver: str | None, options: Mapping[str, Any]) -> Tensor:
    if _iterates(A, method, "solve", solver, options):
        return iterate(A, y, solver, options, _SOLVERS)[0]
    x = solve_exactly(A, y)
    return _dense_solution(A, y, solve_matrix) if x is None else x


class LeastSquares(NamedTuple):
    """A least-squares solution.

    Attributes:
        solution: The solution, ``(*batch, *dims)``.
        residuals: The norm of ``B - A x`` for each sample. (``torch.linalg.lstsq`` returns its square.)
        converged: Whether each sample has converged.
    """

    solution: Any
    residuals: Any
    converged: Any


def lstsq(
    A: LinearOperator,
    B: Any,
    rcond: float | None = None,
    *,
    method: Method = None,
    solver: str | None = None,
    **options: Any,
) -> LeastSquares:
    """Return the minimum-norm solution that minimises ``||B - A x||``.

    Args:
        A: The operator.
        B: Data ``(*batch, *dimsd)`` or flattened, a tensor or another array.
        rcond: Singular values below this fraction of the largest count as zero, if the matrix is formed. By default,
            the machine epsilon of the dtype times the larger size of the matrix.
        method: See :mod:`torchlops.linalg`.
        solver: Name of the iterative solver: ``"lsmr"`` (the default), ``"lsqr"`` or ``"cgls"``.
        **options: Arguments of the solver function in ``torchlops.optimization``, as in :func:`solve`. If the columns
            of ``A`` are dependent, pass ``full_rank=False`` for correct derivatives; see the solver function.

    Example:
        >>> import torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0], [1.0]]))
        >>> solution, residuals, converged = lstsq(A, torch.tensor([1.0, 3.0]))
        >>> solution.round(decimals=4), residuals
        (tensor([2.]), tensor(1.4142))
    """
    A = aslinearoperator(A)
    y, layout = read_data(A, B)
    if layout.back is not None:
        with torch.no_grad():
            found = lstsq(A, y, rcond, method=method, solver=solver, **options)
        return LeastSquares(*map(layout.back, found))
    if not _iterates(A, method, "vectors", solver, options):
        x = _dense_solution(A, y, lambda matrix, b: torch.linalg.pinv(matrix, rtol=rcond) @ b)
        converged = torch.ones(y.shape[: y.ndim - len(A.dimsd)], dtype=torch.bool, device=y.device)
    elif rcond is not None:
        raise ValueError("lstsq: rcond applies only to method='dense'; an iterative solver has its own tolerances")
    else:
        x, converged = iterate(A, y, solver, options, LEAST_SQUARES_SOLVERS)
    r = (y - A.apply_nd(x, False)).flatten(y.ndim - len(A.dimsd))
    return LeastSquares(x, torch.linalg.vector_norm(r, dim=-1), converged)


def inv(A: LinearOperator, *, method: Method = None, solver: str | None = None, **options: Any) -> InverseOperator:
    """Return the inverse of a square operator, as an operator that solves when it is applied.

    It can be composed, transposed and differentiated like any other operator. The arguments are those of :func:`solve`.

    Example:
        >>> import torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        >>> inv(A).H(torch.tensor([2.0, 2.0]))
        tensor([1., 1.])
    """
    return InverseOperator(aslinearoperator(A), solver, method=method, **options)


def pinv(
    A: LinearOperator, rcond: float | None = None, *, method: Method = None, solver: str | None = None, **options: Any
) -> InverseOperator:
    """Return the pseudo-inverse, as an operator that solves when it is applied. With ``damp``, it is regularised.

    The arguments are those of :func:`lstsq`.

    Example:
        >>> import torchlops
        >>> pinv(torchlops.MatrixMult(torch.tensor([[1.0], [1.0]])))(torch.tensor([1.0, 3.0])).round(decimals=4)
        tensor([2.])
    """
    options = options if rcond is None else {"rcond": rcond, **options}
    return InverseOperator(aslinearoperator(A), solver, method=method, pseudo=True, **options)


class InverseOperator(CompositeOperator):
    r"""The solution operator :math:`y \mapsto A^{-1} y`, or :math:`y \mapsto A^+ y`.

    Its adjoint solves with :math:`A^H`. With an iterative solver, both are accurate to the tolerance of the solver.

    Args:
        A: The operator.
        solver: Name of the iterative solver, to solve iteratively.
        method: See :mod:`torchlops.linalg`.
        pseudo: Whether this is a pseudo-inverse. With a least-squares solver, it always is.
        **options: Further arguments of :func:`solve` or :func:`lstsq`.

    Raises:
        ValueError: If the solver is unknown, or needs a square operator.
    """

    def __init__(
        self,
        A: LinearOperator,
        solver: str | None = None,
        *,
        method: Method = None,
        pseudo: bool = False,
        **options: Any,
    ) -> None:
        known = LEAST_SQUARES_SOLVERS if pseudo else _SOLVERS
        self.pseudo = pseudo or solver in LEAST_SQUARES_SOLVERS
        if not self.pseudo and A.shape[0] != A.shape[1]:
            raise ValueError(
                f"only a square operator has an inverse, but {A.name_and_type} has shape {A.shape}: use linalg.pinv"
            )
        given = {name: value for name, value in options.items() if name != "rcond"}
        if _iterates(A, method, "vectors" if self.pseudo else "solve", solver, given):
            read_iteration(A, solver, given, known)  # so that a wrong option fails now
        M = options.get("M")
        M = None if M is None else aslinearoperator(M)
        super().__init__((A,) if M is None else (A, M), dims=A.dimsd, dimsd=A.dims, clinear=A.clinear)
        self.solver, self.method, self.options = solver, method, options

    def _forward(self, x: Tensor) -> Tensor:
        return self._solve(x, *self.operators)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._solve(y, *(part.H for part in self.operators))

    def _solve(self, y: Tensor, A: LinearOperator, M: LinearOperator | None = None) -> Tensor:
        options = self.options if M is None else {**self.options, "M": M}
        x: Tensor
        if self.pseudo:
            x = lstsq(A, y, method=self.method, solver=self.solver, **options).solution
        else:
            x = solve(A, y, method=self.method, solver=self.solver, **options)
        return x

    def expression(self) -> str:
        named = {"solver": self.solver, "method": self.method, **self.options}
        options = "".join(f", {name}={value!r}" for name, value in named.items() if name != "M" and value is not None)
        return f"{'pinv' if self.pseudo else 'inv'}({self.operators[0].expression()}{options})"


def solve_exactly(A: LinearOperator, y: Tensor) -> Tensor | None:
    """Return the solution of ``A x = y`` if the operator implements its inverse; ``y`` is ``(*batch, *dimsd)``."""
    if type(A)._inverse is not LinearOperator._inverse:
        try:
            return A._inverse(y)
        except NotImplementedError:  # not for this instance, for example a rectangular matrix
            pass
    return None


def _dense_solution(A: LinearOperator, y: Tensor, solve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    batch = y.shape[: y.ndim - len(A.dimsd)]
    wanted = A.apply_nd(y.new_zeros((0, *A.dimsd)), True).dtype  # of a model
    dtype = torch.promote_types(torch.promote_types(wanted, y.dtype), torch.float32)
    dtype = complex_dtype(dtype) if A._torch_dtype().is_complex else dtype
    flat = VectorOperator(A, dtype, as_pairs=not A.clinear)
    b = flat.data_vector(y).reshape(-1, flat.rows)
    x = solve(dense_matrix(A, dtype), b.mT).mT.contiguous()
    return flat.as_model(x.reshape(*batch, flat.columns)).to(wanted)


@dataclass(frozen=True)
class Iteration:
    """An iterative solver with its options.

    Attributes:
        solver: The solver.
        given: The options of the solver that the user has passed.
        niter: Maximum number of iterations.
        damp: The damping.
        M: The preconditioner.
        options: The options common to all solvers.
    """

    solver: type[Solver[Any]]
    given: Mapping[str, Any]
    niter: int
    damp: Any
    M: LinearOperator | None
    options: Options

    def solve(self, A: LinearOperator, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the solution for data ``(*batch, *dimsd)``, and which samples have converged; warn about others."""
        accuracy = torch.finfo(y.dtype).eps ** 0.75
        own = {field.name for field in fields(self.solver)}
        tight = {"tol": 0.0, "rtol": 0.0, "rtol1": accuracy, "gtol": accuracy, "atol": accuracy, "btol": accuracy}
        if self.solver is krylov.CGLS:
            tight["rtol1"] = 0.0  # the residual is not small if the data cannot be fitted
        chosen = {name: value for name, value in {**tight, "conlim": 0.0, **self.given}.items() if name in own}
        found = solve_implicitly(
            self.solver(**chosen), A, y, niter=self.niter, weight=self.damp, M=self.M, options=self.options
        )
        status = torch.as_tensor(found.status, device=y.device)
        converged = status == Status.CONVERGED
        is_attached = not is_plain_eager() or found.x.requires_grad
        if self.options.grad is not None and not self.options.unrolls and is_attached:
            far = torch.as_tensor(found.accuracy, device=y.device) > torch.finfo(found.x.dtype).eps ** 0.5
            status = torch.where(far, int(Status.CONVERGED), status)  # the derivative warns about these
        self._warn(A, status)
        if not is_plain_eager():  # inside a transform, the samples cannot be told apart
            converged = converged.all().expand(y.shape[: y.ndim - len(A.dimsd)])
        x: Tensor = found.x
        return x, converged

    def _warn(self, A: LinearOperator, status: Tensor) -> None:
        """Warn or raise about samples that stopped before convergence. The solver reports other failures."""
        if is_wrapped(status):  # by a transform of unrolled iterations
            return
        reasons = [describe(status, code) for code in Status if Status.CONVERGED < code < Status.INDEFINITE]
        if any(reasons):
            at = f"at niter={self.niter}, " if bool((status == Status.MAXITER).any()) else ""
            say(
                f"{self.solver.__name__} on {A.name_and_type} stopped {at}before convergence "
                f"({', '.join(filter(None, reasons))}): the solution is inaccurate. Raise niter, loosen the "
                "tolerances, or use a preconditioner, damping, another solver or method='dense'.",
                self.options.on_fail,
            )


def _iterates(A: LinearOperator, method: Method, what: str, name: str | None, options: Mapping[str, Any]) -> bool:
    """Whether the arguments request an iteration rather than the matrix."""
    named = name is not None or bool(options)
    if named and method == "dense":
        raise ValueError(f"method='dense' takes no solver and no solver options, got {[name, *options]}")
    return not is_dense(A, "iterative" if named else method, what)


@uncompiled(NO_GRAPH)
def iterate(
    A: LinearOperator, y: Tensor, name: str | None, options: Mapping[str, Any], known: Mapping[str, type[Solver[Any]]]
) -> tuple[Tensor, Tensor]:
    """Return the solution for data ``(*batch, *dimsd)`` by an iteration, and which samples have converged."""
    return read_iteration(A, name, options, known).solve(A, y)


def read_iteration(
    A: LinearOperator, name: str | None, options: Mapping[str, Any], known: Mapping[str, type[Solver[Any]]]
) -> Iteration:
    """Read the name and the options of an iteration.

    Raises:
        ValueError: If the solver is unknown, or does not take ``A``.
        TypeError: If an option is unknown.
    """
    name = "lsmr" if name is None else name
    if name not in known:
        raise ValueError(f"solver must be one of {', '.join(known)}, got {name!r}")
    own = [field.name for field in fields(known[name])]
    of_all = list(SolveOptions.__annotations__)
    unknown = [option for option in options if option not in ("niter", "damp", "M", *own, *of_all)]
    if unknown:
        raise TypeError(
            f"{name} on {A.name_and_type} has no option {', '.join(unknown)}: it takes niter, damp, M, "
            f"{', '.join((*own, *of_all))}"
        )
    how: Any = {option: options[option] for option in of_all if option in options}
    M = options.get("M")
    iteration = Iteration(
        known[name],
        {option: options[option] for option in own if option in options},
        options.get("niter", min(10 * min(A.shape) + 100, 10_000)),
        options.get("damp", 0.0),
        None if M is None else aslinearoperator(M),
        Options(**how),
    )
    check(iteration.solver(**iteration.given), A, iteration.M, iteration.options)
    return iteration
