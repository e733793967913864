"""What post-stack and pre-stack inversion have in common: the costs, and the solvers that minimise them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import as_it_is, as_tensor, as_tensors, real_dtype
from torchlops.avo._modelling import matrix_of
from torchlops.basicoperators import Diagonal, Identity
from torchlops.basicoperators._positions import is_readable
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.solve import NO_GRAPH
from torchlops.optimization.leastsquares import regularized_inversion
from torchlops.optimization.solver.options import Implicit
from torchlops.optimization.sparsity import splitbregman
from torchlops.shapes import accept_pylops_options, as_integer
from torchlops.torch_internals import is_plain_eager, uncompiled
from torchlops.utils.dottest import dottest as run_dottest

OPTIONS_OF_SCIPY = ("overwrite_a", "overwrite_b", "check_finite", "lapack_driver")
"""Options of ``scipy.linalg.lstsq`` that affect how it computes."""


class Inversion:
    """The arrays of an inversion, and the solution.

    Args:
        owner: The name of the function, for messages.
        batch_ndim: The number of leading axes of the data that count problems.
        others: Further arguments of the user, which make the result a tensor if one of them is one.
        **arrays: The data first, and further arrays, which may be None.
    """

    def __init__(self, owner: str, batch_ndim: int, others: Sequence[Any] = (), **arrays: Any) -> None:
        self.owner = owner
        self.batch_ndim = as_integer(batch_ndim, f"{owner}: batch_ndim", least=0)
        self.tensors, self._back = as_tensors(owner, arrays, others)
        self.is_of_tensors = self._back is as_it_is

    def wrong_shape(self, what: str, array: Tensor, wanted: str) -> ValueError:
        """Return the error about the shape of an array."""
        batch = f" after {self.batch_ndim} axes of a batch" if self.batch_ndim else ""
        hint = "" if self.batch_ndim else ". For leading axes that count problems, pass batch_ndim"
        return ValueError(f"{self.owner}: {what} must have shape {wanted}{batch}, got {tuple(array.shape)}{hint}")

    def check_model(self, model: Tensor | None, dims: tuple[int, ...]) -> None:
        """Refuse a background model that has not the axes ``dims``, after the batch or without it.

        Raises:
            ValueError: If it has other ones.
        """
        data = self.tensors[0]
        assert data is not None
        batch = tuple(data.shape[: self.batch_ndim])
        if model is not None and tuple(model.shape) not in (dims, (*batch, *dims)):
            raise self.wrong_shape("m0, for these data,", model, str(dims))

    @uncompiled(NO_GRAPH)
    def solve(
        self,
        A: LinearOperator,
        chains: Sequence[Sequence[LinearOperator]],
        sizes: tuple[int, int, int],
        *,
        explicit: bool,
        epsI: Any,
        epsR: Any,
        epsRL1: Any,
        laplacian: LinearOperator,
        lateral: LinearOperator | None,
        blockiness: LinearOperator,
        dottest: bool,
        options: dict[str, Any],
    ) -> tuple[Any, Any]:
        """Return the model and the residual.

        Args:
            A: The operator, from the model to the flattened data or not.
            chains: Its parts, for each linearisation.
            sizes: The numbers of linearisations, of samples in time, and of angles.
            explicit: Whether to solve directly where that is possible.
            epsI: Weight of the damping, or weights of the parameters.
            epsR: Weight of the Laplacian.
            epsRL1: Weight of the blockiness.
            laplacian: The Laplacian of the quadratic cost.
            lateral: That of the cost with blockiness, if there is one.
            blockiness: The derivative in time.
            dottest: Whether to test ``A``.
            options: Options of the solver.
        """
        if dottest:
            run_dottest(A, *A.shape, raiseerror=True, verb=True)
        data, background = self.tensors[0], self.tensors[-1]
        assert data is not None
        batch = tuple(data.shape[: self.batch_ndim])
        if not data.is_cpu:  # where constants are that were given as arrays
            A.to(data.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.is_of_tensors):
            d = data.reshape(*batch, *A.dimsd)
            m0 = None if background is None else background.expand(*batch, *A.dims)
            damping = self._damping(epsI, A)
            deviation = epsR is None and epsRL1 is None
            target = d - A.apply_nd(m0) if deviation and m0 is not None else d
            if deviation and explicit:
                m = self._solve_directly(chains, sizes, target, batch, damping, options)
            elif epsRL1 is None:
                guess = None if deviation else m0
                m = self._solve_least_squares(A, target, guess, damping, epsR, laplacian, options)
            else:
                m = self._solve_blocky(A, d, m0, damping, epsR, epsRL1, lateral, blockiness, options)
            m = m.reshape(*batch, *A.dims)
            m = m + m0 if deviation and m0 is not None else m
            residual = (d - A.apply_nd(m)).reshape(data.shape)
        return self._back(m), self._back(residual)

    def _damping(self, epsI: Any, A: LinearOperator) -> Tensor | float | None:
        """Return the weight of the damping: a number, a tensor of one, or one weight per parameter.

        Raises:
            ValueError: If there is another number of weights, or one is negative.
        """
        if epsI is None:
            return None
        weights = as_tensor(epsI, f"{self.owner}: epsI")
        if is_readable(weights) and bool((weights < 0).any()):
            raise ValueError(f"{self.owner}: epsI must not be negative, got {epsI!r}")
        if isinstance(epsI, int | float):
            return epsI
        if weights.ndim == 0:
            return weights
        if len(A.dims) < 2 or tuple(weights.shape) != (A.dims[1],) or self.owner == "PoststackInversion":
            wanted = (
                "a number" if self.owner == "PoststackInversion" else f"a number, or one per parameter, {A.dims[1]}"
            )
            raise ValueError(f"{self.owner}: epsI must be {wanted}, got {epsI!r}")
        return weights

    # -- direct ------------------------------------------------------------------------------------------------

    def _solve_directly(
        self,
        chains: Sequence[Sequence[LinearOperator]],
        sizes: tuple[int, int, int],
        d: Tensor,
        batch: tuple[int, ...],
        damping: Tensor | float | None,
        options: dict[str, Any],
    ) -> Tensor:
        """Return the solution for all traces by one decomposition, whose columns are the traces of all problems."""
        accept_pylops_options(**{name: options.pop(name) for name in OPTIONS_OF_SCIPY if name in options})
        cond = options.pop("rcond", None)
        cond = options.pop("cond", cond)
        if options:
            raise TypeError(
                f"{self.owner}: the direct solution (explicit=True) has no option {', '.join(options)}, only cond: "
                "for a solver that iterates, pass explicit=False, or simultaneous=True"
            )
        matrix = torch.cat([matrix_of(chain) for chain in chains])
        kinds, nt0, ntheta = sizes
        count, traces = math.prod(batch), math.prod(d.shape[len(batch) :]) // matrix.shape[0]
        columns = (
            d.reshape(count, kinds, nt0, ntheta, traces).permute(1, 3, 2, 0, 4).reshape(matrix.shape[0], count * traces)
        )
        if damping is None:
            found = smallest_solution(matrix, columns, cond)
        else:
            found = self._solve_normal_equations(matrix, columns, damping, nt0, cond)
        return found.reshape(matrix.shape[1] // nt0, nt0, count, traces).permute(2, 1, 0, 3)

    def _solve_normal_equations(
        self, matrix: Tensor, columns: Tensor, damping: Tensor | float, nt0: int, cond: float | None
    ) -> Tensor:
        r"""Return the solution of :math:`(A^H A + \epsilon I) m = A^H d`.

        The matrix is squared and decomposed in double precision, in which small dampings are not lost.
        """
        dtype = torch.promote_types(matrix.dtype, columns.dtype)
        matrix, columns = (x.to(torch.promote_types(dtype, torch.float64)) for x in (matrix, columns))
        weights = torch.as_tensor(damping, dtype=real_dtype(matrix.dtype), device=matrix.device)
        diagonal = weights.reshape(-1, 1).expand(matrix.shape[1] // nt0, nt0).reshape(-1)
        normal = matrix.mH @ matrix + torch.diag(diagonal).to(matrix.dtype)
        if cond is not None:
            return smallest_solution(normal, matrix.mH @ columns, cond).to(dtype)
        try:
            factor = torch.linalg.cholesky(normal)
        except RuntimeError as error:
            if "positive-definite" not in str(error):
                raise
            raise ValueError(
                f"{self.owner}: epsI={damping} is too small: it is lost in the rounding of the normal equations. Pass "
                "a larger one, or cond for the smallest solution, or epsI=None"
            ) from None
        if columns.shape[1] > matrix.shape[0]:  # of many traces, solving for the matrix takes less than for the data
            return (torch.cholesky_solve(matrix.mH, factor) @ columns).to(dtype)
        return torch.cholesky_solve(matrix.mH @ columns, factor).to(dtype)

    # -- iterative ---------------------------------------------------------------------------------------------

    def _solve_least_squares(
        self,
        A: LinearOperator,
        d: Tensor,
        guess: Tensor | None,
        damping: Tensor | float | None,
        epsR: Any,
        laplacian: LinearOperator,
        options: dict[str, Any],
    ) -> Tensor:
        Regs: list[LinearOperator] = []
        epsRs: list[Any] = []
        if epsR is not None:
            Regs.append(laplacian)
            epsRs.append(_one_of(epsR))
        if damping is not None and (epsR is not None or _is_per_parameter(damping)):
            # with the Laplacian, epsI weights m itself, and without it, its square
            weights = damping if epsR is not None else torch.sqrt(torch.as_tensor(damping))
            part, weight = self._damper(A, weights)
            Regs.append(part)
            epsRs.append(weight)
        elif damping is not None:
            root = (damping + options.get("damp", 0.0) ** 2) ** 0.5
            options = {**options, "damp": root}
        options = self._with_derivatives(options, damping)
        result = regularized_inversion(A, d, Regs or None, x0=guess, epsRs=epsRs or None, **options)
        m: Tensor = result.x
        return m

    def _solve_blocky(
        self,
        A: LinearOperator,
        d: Tensor,
        guess: Tensor | None,
        damping: Tensor | float | None,
        epsR: Any,
        epsRL1: Any,
        lateral: LinearOperator | None,
        blockiness: LinearOperator,
        options: dict[str, Any],
    ) -> Tensor:
        RegsL2: list[LinearOperator] = []
        epsRL2s: list[Any] = []
        if epsR is not None and lateral is not None:
            RegsL2.append(lateral)
            epsRL2s.append(_one_of(epsR))
        if damping is not None:
            part, weight = self._damper(A, damping)
            RegsL2.append(part)
            epsRL2s.append(weight**2)
        if not self.is_of_tensors:
            options = {"grad": None, **options}
        result = splitbregman(
            A, d, [blockiness], x0=guess, RegsL2=RegsL2 or None, epsRL1s=[_one_of(epsRL1)], epsRL2s=epsRL2s or None,
            **options,
        )  # fmt: skip
        m: Tensor = result.x
        return m

    def _damper(self, A: LinearOperator, damping: Tensor | float) -> tuple[LinearOperator, Any]:
        """Return the operator of the damping, and its weight."""
        if _is_per_parameter(damping):
            assert isinstance(damping, Tensor)
            return Diagonal(damping, dims=A.dims, axis=1), 1.0
        return Identity(A.dims), damping

    def _with_derivatives(self, options: dict[str, Any], damping: Tensor | float | None) -> dict[str, Any]:
        """Return the options of the solver, which say how derivatives are taken if the user does not.

        What is constant in time has no data, so that without damping the columns of the operator are dependent.
        """
        if not self.is_of_tensors:
            return {"grad": None, **options}
        damp = options.get("damp", 0.0)
        is_damped = damping is not None or isinstance(damp, Tensor) or bool(damp)
        return {"grad": Implicit(full_rank=is_damped), **options}


def _is_per_parameter(damping: Tensor | float | None) -> bool:
    return isinstance(damping, Tensor) and damping.ndim > 0


def _one_of(value: Any) -> Any:
    """Return a weight that may be in a list, as in PyLops."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def smallest_solution(matrix: Tensor, columns: Tensor, cond: float | None = None) -> Tensor:
    r"""Return the least-squares solution of smallest norm, by the singular value decomposition.

    Derivatives with respect to the matrix are of first and second order. For those, let :math:`V` span the right
    singular vectors that are kept and :math:`V_\perp` the others. The kept space of a changed matrix is spanned by
    :math:`V + V_\perp W`, where :math:`W` solves the quadratic equation of an invariant subspace of :math:`H = A^H A`.
    Each iteration of Newton's method with the derivative at the given matrix, from :math:`W = 0` on, gives one more
    order. The value of :math:`W` is 0, so that the value of the solution is that of the decomposition.

    Args:
        matrix: The matrix ``(rows, columns)``.
        columns: The right-hand sides.
        cond: Singular values below this times the largest count as zero; by default the rounding of the dtype times
            the larger size of the matrix, to which a decomposition is right.

    >>> x = smallest_solution(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([[2.0], [4.0]]))
    >>> torch.allclose(x, torch.ones(2, 1))
    True
    """
    dtype = torch.promote_types(matrix.dtype, columns.dtype)
    A, b = matrix.to(dtype), columns.to(dtype)
    constant = A.detach()
    U, S, Vh = torch.linalg.svd(constant, full_matrices=constant.shape[0] < constant.shape[1])
    cond = torch.finfo(dtype).eps * max(A.shape) if cond is None else cond
    rank = int((S[0] * cond < S).sum())
    kept, sizes = Vh[:rank].mH, S[:rank, None]
    if is_plain_eager() and not A.requires_grad:
        solution: Tensor = kept @ ((U[:, :rank].mH @ b) / sizes)
        return solution
    dropped = Vh[rank:].mH
    squares = torch.nn.functional.pad(S, (0, Vh.shape[0] - len(S))) ** 2
    gaps = (squares[:rank] - squares[rank:, None]).to(dtype)
    A_kept, A_dropped = A @ kept, A @ dropped
    across = A_dropped.mH @ A_kept
    across = across - across.detach()
    inside, outside = A_kept.mH @ A_kept, A_dropped.mH @ A_dropped
    W = torch.zeros_like(across)
    for _ in range(2):
        W = W + (across + outside @ W - W @ inside - W @ across.mH @ W) / gaps
    basis = (kept + dropped @ W) / sizes.mT
    image = A @ basis  # the left singular vectors, at the given matrix
    changed: Tensor = basis @ torch.linalg.solve(image.mH @ image, image.mH @ b)
    return changed
