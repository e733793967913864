r"""Derivatives of eigenpairs and log-determinants, exact in every mode, at the cost of one additional solve.

The eigenvalues and the eigenvectors of a Hermitian matrix :math:`M` satisfy, with :math:`|v_i| = 1`,

.. math::

    \dot\lambda_i = \mathrm{Re} \langle v_i, \dot M v_i \rangle, \qquad
    \dot v_i = T_i \dot M v_i, \qquad
    T_i = \sum_{j \ne i} \frac{v_j v_j^H}{\lambda_i - \lambda_j} - N_i^{-1} P,

where the sum runs over the other known vectors, :math:`P` projects onto the orthogonal complement of all known vectors,
and :math:`N_i` is the matrix :math:`P (M - \lambda_i) P` plus a multiple of :math:`I - P`, which makes it regular for
MINRES. :math:`T_i` is Hermitian, so it is also the backward rule. That rule is differentiable code in terms of values,
vectors and tensors, which carry their own derivatives, so it holds to any order. In forward mode (see
``implicit/equation.py``), tangents are stripped first, and restored by one step of Newton's method per active forward
level,

.. math::

    r_i = M v_i - \lambda_i v_i, \qquad
    \lambda_i \leftarrow \lambda_i + \mathrm{Re} \langle \hat v_i, r_i \rangle, \qquad
    v_i \leftarrow v_i + \hat T_i r_i + \tfrac12 (1 - |v_i|^2) \, \hat v_i,

with hatted quantities held fixed. Each step makes one more order exact.

The phase of a complex vector is arbitrary. It is chosen such that :math:`\langle \hat v_i, v_i \rangle` stays real,
where :math:`\hat v_i` is the value of the vector. Then :math:`\langle v_i, \dot v_i \rangle = 0`, and second
derivatives are symmetric. Functions that do not depend on phases are independent of this choice.

Singular triplets are eigenpairs of :math:`\begin{pmatrix} 0 & A \\ A^H & 0 \end{pmatrix}`, with vectors
:math:`(u, v) / \sqrt 2` and values :math:`\sigma`; each is paired with :math:`(u, -v) / \sqrt 2` and :math:`-\sigma`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit.equation import Equation, Operators, gradients, solution_with_value
from torchlops.optimization.implicit.hidden import refuse_hidden_tensors
from torchlops.optimization.implicit.linear import System, model_of, solve_once
from torchlops.optimization.implicit.rebind import own_tensors
from torchlops.optimization.implicit.tangents import constant, without_tangent
from torchlops.optimization.krylov.cg import CG
from torchlops.optimization.krylov.minres import MINRES
from torchlops.optimization.solver.options import Options
from torchlops.optimization.solver.result import SolverWarning
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import gram, inner, norm
from torchlops.optimization.spectral.hermitian import Hermitian, all_known, may_be_differentiated
from torchlops.torch_internals import count_forward_levels
from torchlops.warning import warn

_MOST_STEPS = 10_000


class _Outside(LinearOperator):
    """The matrices ``N_i``, one per sample of the last axis of a batch."""

    def __init__(self, M: LinearOperator, rows: int, values: Tensor, vectors: Tensor) -> None:
        super().__init__(M.dims, dtype=M._torch_dtype(), name=M.name_and_type)
        self.M = M
        self.pairs = values, vectors, all_known(rows, values, vectors)[1]

    def _forward(self, x: Tensor) -> Tensor:
        values, _, V = self.pairs
        inside = gram(V, x).mT @ V
        x = x - inside
        y = self.M.apply_nd(x) - values.unsqueeze(-1).to(x.dtype) * x
        size = values.detach().abs().amax((-1,), keepdim=True).unsqueeze(-1)  # any nonzero number works
        return y - gram(V, y).mT @ V + torch.where(size > 0, size, 1.0).to(x.dtype) * inside

    _adjoint = _forward

    def _given_tensors(self) -> list[Tensor]:
        return []


class _OutsideEquation(Equation):
    """The Hermitian equation ``g_i - N_i x_i = 0``. One sample is all of ``g``. Inputs are ``g`` and all pairs."""

    is_linear = True

    def __init__(self, M: Hermitian, count: int) -> None:
        super().__init__((M,), (2, 1, 2), (count, *M.dims))
        self.rows, self.name = M.rows, M.A.name_and_type

    def solve(self, operators: Operators, *inputs: Any) -> Tensor:
        g, values, vectors = inputs
        N = _Outside(operators[0], self.rows, values, vectors)
        solver = MINRES(tol=0.0, rtol=0.0, rtol1=100 * torch.finfo(values.dtype).eps)
        options = Options(grad=None, on_fail="ignore", compact=False)
        outcome = solve_once(solver, N, g, None, 0.0, None, min(4 * N.shape[0] + 100, _MOST_STEPS), options)
        x = model_of(outcome)
        gap = _smallest_gap(values).amin()
        is_singular = (norm(x) * gap > norm(g)).squeeze(-1)
        if bool((outcome.early() | outcome.failed() | is_singular).any()):
            warn(
                f"derivatives of vectors, and second derivatives of values, of {self.name} are inexact or do not "
                "exist: a requested value is close to one that was not requested. Request more values.",
                SolverWarning,
            )
        return x

    def residual(self, operators: Operators, x: Tensor, *inputs: Any) -> Tensor:
        g, values, vectors = inputs
        residual: Tensor = g - _Outside(operators[0], self.rows, values, vectors).apply_nd(x)
        return residual

    def linearised(self, adjoint: bool) -> Equation:  # noqa: ARG002
        return self


# -- what eigenpairs and log-determinants share ---------------------------------------------------------------

_Compute = Callable[[VectorOperator], tuple[Tensor, Tensor, Tensor]]
_Rule = Callable[[Sequence[Tensor], Tensor, Tensor, Any, Any], Tensor]


class _Found(torch.autograd.Function):
    """Values ``(k,)``, vectors ``(k, n)`` and flags that a function of the matrix returns. In forward mode: constants.

    The gradients with respect to the tensors ``theta`` of the matrix are those of ``Re <left, M vectors>``, with
    ``left = rule(theta, values, vectors, grad of values, grad of vectors)``.
    """

    @staticmethod
    def forward(M: Hermitian, compute: _Compute, rule: _Rule, *theta: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        with torch.no_grad():
            fixed = M.with_tensors([tensor.detach() for tensor in theta])
            refuse_hidden_tensors(fixed.A, ())
            return tuple(each.clone() for each in compute(fixed.flat))  # forward mode does not accept views

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.M, ctx.rule = inputs[0], inputs[2]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(*output[:2], *inputs[3:])
        ctx.save_for_forward(*output[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        values, vectors, *theta = ctx.saved_tensors
        left = ctx.rule(theta, values, vectors, *grads[:2])
        wanted = [index for index in range(len(theta)) if ctx.needs_input_grad[3 + index]]
        M: Hermitian = ctx.M
        return None, None, None, *gradients(lambda *now: M.with_tensors(now).apply_nd(vectors), theta, wanted, left)

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        return *(torch.zeros_like(tensor) for tensor in ctx.saved_tensors), None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], M: Hermitian, compute: _Compute, rule: _Rule, *theta: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, int, int]]:
        samples = []
        for index in range(info.batch_size):  # each matrix has its own Krylov space
            pairs = zip(theta, in_dims[3:], strict=True)
            one = [t if axis is None else t.select(axis, index) for t, axis in pairs]
            samples.append(_found(M, compute, rule, *one))
        return tuple(torch.stack(each) for each in zip(*samples, strict=True)), (0, 0, 0)


_found: Any = _Found.apply


def _inner(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = inner(a, b).squeeze(-1)
    return product


# -- eigenpairs -----------------------------------------------------------------------------------------------


def differentiable_pairs(
    M: Hermitian, compute: _Compute, used: Sequence[int] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues ``(k,)`` and eigenvectors ``(k, n)`` with their derivatives, and which have converged.

    Args:
        M: The matrix.
        compute: Function that returns all three, without derivatives.
        used: Indices of the requested pairs; all by default. The others are used in derivatives only.
    """
    asked = used if may_be_differentiated(M) else ()

    def found(flat: VectorOperator) -> tuple[Tensor, Tensor, Tensor]:
        values, vectors, converged = compute(flat)
        _warn_of_clusters(M, values, vectors, asked)
        return values, vectors, converged

    def rule(theta: Sequence[Tensor], values: Tensor, vectors: Tensor, of_values: Any, of_vectors: Any) -> Tensor:
        left = torch.zeros_like(vectors)
        if of_values is not None:
            left = left + of_values[:, None].to(vectors.dtype) * vectors
        if of_vectors is not None:
            if vectors.is_complex():  # a component along the phase acts on the whole vector
                fixed = constant(vectors)
                turn = _inner(of_vectors, 1j * vectors).real / _inner(fixed, vectors).real
                of_vectors = of_vectors - 1j * turn[:, None] * fixed
            left = left + _response(M, theta, values, vectors, of_vectors, True)
        return left

    theta, levels = own_tensors([M]), count_forward_levels()
    fixed = [without_tangent(tensor) for tensor in theta] if levels else theta
    values, vectors, converged = _found(M, found, rule, *fixed)
    first, start = values, vectors
    fixed_phase = constant(start)
    for _ in range(levels):
        residual = M.apply_nd(vectors) - values[:, None].to(vectors.dtype) * vectors
        step = _response(M, fixed, first, start, residual, False)
        excess = _inner(vectors, vectors).real - 1
        step = step - excess[:, None].to(start.dtype) / 2 * start
        if start.is_complex():
            turn = _inner(fixed_phase, vectors + step).imag / _inner(fixed_phase, start).real
            step = step - 1j * turn[:, None] * start
        of_values = _inner(start, residual).real
        values = values + of_values - constant(of_values)
        vectors = vectors + step - constant(step)
    return values, vectors, converged


def _response(M: Hermitian, theta: Sequence[Tensor], values: Tensor, vectors: Tensor, x: Tensor, value: bool) -> Tensor:
    """Return ``T_i x_i``. With ``value=False``, the part outside the known vectors is zero, but has its derivatives."""
    every, V = all_known(M.rows, values, vectors)
    inside = gram(V, x).mT
    gaps = values[:, None] - every
    close = gaps.abs() <= _smallest_gap(every)
    weights = torch.where(close, 0.0, 1.0 / torch.where(close, 1.0, gaps))
    response: Tensor = (weights.to(x.dtype) * inside) @ V
    if V.shape[-2] == V.shape[-1]:
        return response  # there is no vector outside
    equation = _OutsideEquation(M, values.shape[-1])
    return response - solution_with_value(equation, value, (x - inside @ V, values, vectors), theta)


def _smallest_gap(values: Tensor) -> Tensor:
    """Return the difference below which values count as equal, since their vectors cannot be distinguished."""
    gap: Tensor = values.detach().abs().amax(-1, keepdim=True) * torch.finfo(values.dtype).eps ** 0.5
    return gap


def _warn_of_clusters(M: Hermitian, values: Tensor, vectors: Tensor, used: Sequence[int] | None) -> None:
    every = all_known(M.rows, values, vectors)[0]
    close = (values[:, None] - every).abs() <= _smallest_gap(every)
    equal = (close.sum(-1) > 1).nonzero().flatten().tolist()
    if used is not None:
        asked = [index % values.shape[0] for index in used]
        equal = [index for index in equal if index in asked]
    if equal:
        warn(
            f"the values {equal} of {M.A.name_and_type} are equal to another (or singular values of zero): such a "
            "value and its vector have no derivatives of their own. The sum of equal values has first and second "
            "derivatives, and the projector onto all their vectors has a first derivative.",
            SolverWarning,
        )


# -- log-determinants -----------------------------------------------------------------------------------------


def differentiable_log(M: Hermitian, compute: _Compute, niter: int, rtol: float | None) -> tuple[Tensor, Tensor]:
    r"""Return estimates of ``log det M``, one per probe ``z``, with unbiased derivatives.

    .. math:: \dot{\log\det M} = \mathrm{E}\, \mathrm{Re} \langle M^{-1} z, \dot M z \rangle

    In forward mode, the derivatives are those of the power series of
    :math:`\mathrm{tr} \log(I + X)`, :math:`X = \hat M^{-1} (M - \hat M)`, up to the number of forward levels.

    Args:
        M: The matrix.
        compute: Function that returns estimates ``(q,)``, probes ``(q, n)``, and whether the estimates have converged.
        niter: Maximum number of iterations of the solves.
        rtol: Relative tolerance of the solves.

    Returns:
        The estimates, and whether they have converged.
    """
    accuracy = torch.finfo(M._torch_dtype()).eps ** 0.75 if rtol is None else rtol
    equation = System(CG(tol=0.0, rtol1=accuracy), (M,), Options(), niter)

    def rule(theta: Sequence[Tensor], _: Tensor, z: Tensor, of_values: Tensor | None, __: None) -> Tensor:
        if of_values is None:
            return torch.zeros_like(z)
        return of_values[:, None].to(z.dtype) * solution_with_value(equation, True, (z, None), theta)

    theta, levels = own_tensors([M]), count_forward_levels()
    fixed = [without_tangent(tensor) for tensor in theta] if levels else theta
    values, z, converged = _found(M, compute, rule, *fixed)
    if not levels:
        return values, converged
    z = constant(z)
    w, power = solution_with_value(equation, True, (z, None), fixed), z
    of_fixed = M.with_tensors(fixed)
    for level in range(levels):
        change = M.apply_nd(power) - of_fixed.apply_nd(power)
        values = values + (-1) ** level / (level + 1) * _inner(w, change).real
        if level + 1 < levels:
            power = solution_with_value(equation, False, (change, None), fixed)
    return values, converged
