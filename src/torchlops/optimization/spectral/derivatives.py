r"""Derivatives of eigenpairs and of log-determinants, exact in every mode, at the cost of one more solve.

Values and vectors of a Hermitian matrix :math:`M` obey, with :math:`|v_i| = 1`,

.. math::

    \dot\lambda_i = \mathrm{Re} \langle v_i, \dot M v_i \rangle, \qquad
    \dot v_i = T_i \dot M v_i, \qquad
    T_i = \sum_{j \ne i} \frac{v_j v_j^H}{\lambda_i - \lambda_j} - N_i^{-1} P,

with the sum over the other known vectors, :math:`P` the projector on the complement of all of them, and :math:`N_i` the
matrix :math:`P (M - \lambda_i) P`, made regular by a multiple of :math:`I - P`, for MINRES. :math:`T_i` is Hermitian,
so that it is the backward rule too. That rule is differentiable code made of values, vectors and tensors, which all
carry their own derivatives, and so it holds to any order. In forward mode (see ``implicit.py``), tangents are taken off
first, and put back by as many steps of Newton's method as forward levels are active,

.. math::

    r_i = M v_i - \lambda_i v_i, \qquad
    \lambda_i \leftarrow \lambda_i + \mathrm{Re} \langle \hat v_i, r_i \rangle, \qquad
    v_i \leftarrow v_i + \hat T_i r_i + \tfrac12 (1 - |v_i|^2) \, \hat v_i,

with all that has a hat fixed: each makes one more order exact.

The phase of a complex vector is free. It is chosen so that :math:`\langle \hat v_i, v_i \rangle` stays real, with
:math:`\hat v_i` the value of the vector: then :math:`\langle v_i, \dot v_i \rangle = 0`, and second derivatives are
symmetric. Whatever does not depend on phases does not see the choice.

Singular triplets are eigenpairs of :math:`\begin{pmatrix} 0 & A \\ A^H & 0 \end{pmatrix}`, with the vectors
:math:`(u, v) / \sqrt 2` and the values :math:`\sigma`; each comes with :math:`(u, -v) / \sqrt 2` and :math:`-\sigma`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.basesolver import Solver, SolverWarning
from torchlops.optimization.cls_cg import CG
from torchlops.optimization.cls_minres import MINRES
from torchlops.optimization.implicit import Square, _constant, _drop, _early, _solve
from torchlops.optimization.solver.vectoroperator import VectorOperator
from torchlops.optimization.solver.vectors import gram, inner, norm
from torchlops.torch_internals import count_forward_levels, is_plain_eager

_MOST_STEPS = 10_000


class Hermitian(LinearOperator):
    """An operator as a Hermitian matrix on vectors: ``A`` itself, or, ``doubled``, ``[[0, A], [A^H, 0]]``."""

    def __init__(self, A: LinearOperator, doubled: bool = False, as_pairs: bool = False) -> None:
        flat = VectorOperator(A, as_pairs=as_pairs)
        super().__init__(flat.rows + flat.columns if doubled else flat.columns, dtype=flat.dtype)
        self.A, self.flat, self.doubled = A, flat, doubled

    def _forward(self, x: Tensor) -> Tensor:
        if not self.doubled:
            return self.flat.forward(x)
        u, v = torch.split(x, [self.flat.rows, self.flat.columns], -1)
        return torch.cat([self.flat.forward(v), self.flat.adjoint(u)], -1)

    _adjoint = _forward

    def all_known(self, values: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the given pairs and those that come with them."""
        if not self.doubled:
            return values, vectors
        u, v = torch.split(vectors, [self.flat.rows, self.flat.columns], -1)
        return torch.cat([values, -values]), torch.cat([vectors, torch.cat([u, -v], -1)])


class _Outside(LinearOperator):
    """The matrices ``N_i``, one a sample."""

    values: Tensor
    vectors: Tensor

    def __init__(self, M: Hermitian, values: Tensor, vectors: Tensor) -> None:
        super().__init__(M.dims, dtype=M._torch_dtype(), name=M.A.name_and_type)
        self.M = M
        self._register("values", values)
        self._register("vectors", vectors)

    def _forward(self, x: Tensor) -> Tensor:
        V = self.M.all_known(self.values, self.vectors)[1]
        inside = (x @ V.mH) @ V
        x = x - inside
        y = self.M.apply_nd(x, False) - self.values[:, None].to(x.dtype) * x
        size = self.values.detach().abs().amax()  # any number that is not zero would do
        return y - (y @ V.mH) @ V + torch.where(size > 0, size, 1.0).to(x.dtype) * inside

    _adjoint = _forward


class _OutsideSolver(MINRES):
    """MINRES in the dtype of its data, since a complex operator may act on real vectors here."""

    place_of_values: int
    """The place of the eigenvalues among the tensors of the equation."""

    def _set_dtypes(self, y: Tensor, x0: Tensor | None) -> None:  # noqa: ARG002
        self._data_dtype = self._model_dtype = y.dtype
        self._is_complex = False


class _OutsideEquation(Square):
    """``N_i x_i = rhs_i``, which is Hermitian."""

    def inverse(self) -> _OutsideEquation:
        return self

    adjoint = inverse

    def _run(self, solver: Solver, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:
        solver._go(rhs, x0, damp=damp, **self.options)
        x: Tensor = solver._public
        values = self.tensors()[self.solver.place_of_values]  # type: ignore[attr-defined]
        gap = _smallest_gap(values).amin()  # under vmap, values may lack batch axes that the vectors have
        is_singular = (norm(x) * gap > norm(rhs)).squeeze(-1)
        if bool((_early(solver) | is_singular).any()):
            warnings.warn(
                f"derivatives of vectors, and second ones of values, of {self.A.name} are inexact or do not exist: a "
                "value that was asked for is close to one that was not. Ask for more values.",
                SolverWarning,
                stacklevel=2,
            )
        return x


class _Task(nn.Module):
    """An operator as a module whose call is any function of it."""

    def __init__(self, A: Hermitian) -> None:
        super().__init__()
        self.A = A
        self.names = [name for name, _ in (*self.named_parameters(), *self.named_buffers())]

    def forward(self, task: Callable[[Hermitian], Any]) -> Any:
        return task(self.A)

    def call(self, theta: Sequence[Tensor], task: Callable[[Hermitian], Any]) -> Any:
        return functional_call(self, dict(zip(self.names, theta, strict=True)), (task,))

    def product(self, theta: Sequence[Tensor], x: Tensor) -> Tensor:
        y: Tensor = self.call(theta, lambda A: A.apply_nd(x, False))
        return y

    def pull(self, theta: Sequence[Tensor], wanted: Sequence[int], x: Tensor, left: Tensor) -> list[Tensor | None]:
        """Return the gradients of ``Re <left, M x>`` with respect to the tensors ``wanted``."""

        def product(*chosen: Tensor) -> Tensor:
            now = list(theta)
            for index, tensor in zip(wanted, chosen, strict=True):
                now[index] = tensor
            return self.product(now, x)

        grads: list[Tensor | None] = [None] * len(theta)
        if wanted:
            _, pullback, *_ = torch.func.vjp(product, *(theta[index] for index in wanted))
            for index, gradient in zip(wanted, pullback(left), strict=True):
                grads[index] = gradient
        return grads


# -- eigenpairs -----------------------------------------------------------------------------------------------

_Compute = Callable[[VectorOperator], tuple[Tensor, Tensor, Tensor]]


def differentiable_pairs(
    M: Hermitian, compute: _Compute, used: Sequence[int] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues ``(k,)`` and eigenvectors ``(k, n)`` with their derivatives, and which have converged.

    Args:
        M: The matrix.
        compute: Returns the three, without derivatives.
        used: The places of the pairs that are asked for, all by default; the others are there to be known.
    """
    task, theta = _Task(M), M._all_tensors()
    _refuse_hidden_tensors(task, theta)
    levels = count_forward_levels()
    fixed = [_drop(tensor) for tensor in theta] if levels else theta
    values, vectors, converged = _pairs(task, compute, used if may_be_differentiated(M) else (), *fixed)
    if not levels:
        return values, vectors, converged
    first, start = values, vectors
    fixed_phase = _constant(start)
    for _ in range(levels):
        residual = task.product(theta, vectors) - values[:, None].to(vectors.dtype) * vectors
        step = _response(task, fixed, first, start, residual, False)
        excess = _inner(vectors, vectors).real - 1
        step = step - excess[:, None].to(start.dtype) / 2 * start
        if start.is_complex():
            turn = _inner(fixed_phase, vectors + step).imag / _inner(fixed_phase, start).real
            step = step - 1j * turn[:, None] * start
        of_values = _inner(start, residual).real
        values = values + of_values - _constant(of_values)
        vectors = vectors + step - _constant(step)
    return values, vectors, converged


class _Pairs(torch.autograd.Function):
    """Eigenpairs; forward mode sees constants here."""

    @staticmethod
    def forward(
        task: _Task, compute: _Compute, used: Sequence[int] | None, *theta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            values, vectors, converged = task.call([t.detach() for t in theta], lambda M: compute(M.flat))
            _warn_of_clusters(task.A, values, vectors, used)
        return values.clone(), vectors.clone(), converged.clone()  # forward mode takes no views

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.task = inputs[0]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(*output[:2], *inputs[3:])
        ctx.save_for_forward(*output[:2])

    @staticmethod
    def backward(ctx: Any, of_values: Tensor | None, of_vectors: Tensor | None, _: Any) -> Any:
        values, vectors, *theta = ctx.saved_tensors
        left = torch.zeros_like(vectors)
        if of_values is not None:
            left = left + of_values[:, None].to(vectors.dtype) * vectors
        if of_vectors is not None:
            if vectors.is_complex():  # a part that turns the phase acts on all of the vector
                fixed = _constant(vectors)
                turn = _inner(of_vectors, 1j * vectors).real / _inner(fixed, vectors).real
                of_vectors = of_vectors - 1j * turn[:, None] * fixed
            left = left + _response(ctx.task, theta, values, vectors, of_vectors, True)
        wanted = [index for index in range(len(theta)) if ctx.needs_input_grad[3 + index]]
        return None, None, None, *ctx.task.pull(theta, wanted, vectors, left)

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        return *(torch.zeros_like(tensor) for tensor in ctx.saved_tensors), None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], task: _Task, compute: _Compute, used: Any, *theta: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, int, int]]:
        samples = [_pairs(task, compute, used, *one) for one in _one_by_one(info.batch_size, in_dims[3:], theta)]
        return tuple(torch.stack(each) for each in zip(*samples, strict=True)), (0, 0, 0)


_pairs: Any = _Pairs.apply


def _response(task: _Task, theta: Sequence[Tensor], values: Tensor, vectors: Tensor, x: Tensor, value: bool) -> Tensor:
    """Return ``T_i x_i``; with ``value=False`` the part outside is zero, with its derivatives."""
    every, V = task.A.all_known(values, vectors)
    inside = gram(V, x).mT
    gaps = values[:, None] - every
    close = gaps.abs() <= _smallest_gap(every)
    weights = torch.where(close, 0.0, 1.0 / torch.where(close, 1.0, gaps))
    response: Tensor = (weights.to(x.dtype) * inside) @ V
    if V.shape[-2] == V.shape[-1]:
        return response  # there is no vector outside
    N = _Outside(task.A, values, vectors)
    options = {
        "niter": min(4 * N.shape[0] + 100, _MOST_STEPS),
        "tol": 0.0,
        "rtol": 0.0,
        "rtol1": 100 * torch.finfo(values.dtype).eps,
    }
    solver = _OutsideSolver(N, on_fail="ignore", compact=False)
    equation = _OutsideEquation(solver, options, "inverse")
    solver.place_of_values = equation.names.index("A.values")
    given = {f"A.M.{name[2:]}": tensor for name, tensor in zip(task.names, theta, strict=True)}
    given.update({"A.values": values, "A.vectors": vectors})
    tensors = [given[name] for name in equation.names]
    outside: Tensor = _solve(equation, value, x - inside @ V, 0.0, None, *tensors)
    return response - outside


def _smallest_gap(values: Tensor) -> Tensor:
    """Return the difference under which values count as equal: their vectors are then not to be told apart."""
    gap: Tensor = values.detach().abs().amax(-1, keepdim=True) * torch.finfo(values.dtype).eps ** 0.5
    return gap


def _warn_of_clusters(M: Hermitian, values: Tensor, vectors: Tensor, used: Sequence[int] | None) -> None:
    every = M.all_known(values, vectors)[0]
    close = (values[:, None] - every).abs() <= _smallest_gap(every)
    equal = (close.sum(-1) > 1).nonzero().flatten().tolist()
    if used is not None:
        asked = [index % values.shape[0] for index in used]
        equal = [index for index in equal if index in asked]
    if equal:
        warnings.warn(
            f"the values {equal} of {M.A.name_and_type} are equal to another (or singular values of zero): a single "
            "one of them has no derivative, and its vector has none. Their sum has first and second derivatives, and "
            "the projector on all their vectors has a first one.",
            SolverWarning,
            stacklevel=2,
        )


# -- log-determinants -----------------------------------------------------------------------------------------


def differentiable_log(M: Hermitian, compute: _Compute, niter: int, rtol: float | None) -> tuple[Tensor, Tensor]:
    r"""Return estimates of ``log det M``, one of each probe ``z``, with derivatives that are right in the mean.

    .. math:: \dot{\log\det M} = \mathrm{E}\, \mathrm{Re} \langle M^{-1} z, \dot M z \rangle

    In forward mode they are those of the power series of
    :math:`\mathrm{tr} \log(I + X)`, :math:`X = \hat M^{-1} (M - \hat M)`, to the order of the forward levels.

    Args:
        M: The matrix.
        compute: Returns estimates ``(q,)``, probes ``(q, n)`` and whether the former have converged.
        niter: Maximum number of iterations of the solves.
        rtol: Their relative tolerance.

    Returns:
        The estimates, and whether they have converged.
    """
    task, theta = _Task(M), M._all_tensors()
    _refuse_hidden_tensors(task, theta)
    accuracy = torch.finfo(M.flat.dtype).eps ** 0.75 if rtol is None else rtol
    options = {"niter": niter, "tol": 0.0, "rtol": 0.0, "rtol1": accuracy}
    levels = count_forward_levels()
    fixed = [_drop(tensor) for tensor in theta] if levels else theta
    values, z, converged = _log(task, compute, options, *fixed)
    if not levels:
        return values, converged
    w, power = _solve_with(task, fixed, z, options, True), z
    for level in range(levels):
        change = task.product(theta, power) - task.product(fixed, power)
        values = values + (-1) ** level / (level + 1) * _inner(w, change).real
        power = _solve_with(task, fixed, change, options, False) if level + 1 < levels else power
    return values, converged


class _Log(torch.autograd.Function):
    """Estimates of a log-determinant, and their probes; forward mode sees constants here."""

    @staticmethod
    def forward(task: _Task, compute: _Compute, options: dict[str, Any], *theta: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        with torch.no_grad():
            found = task.call([t.detach() for t in theta], lambda M: compute(M.flat))
        return tuple(each.clone() for each in found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.task, ctx.options = inputs[0], inputs[2]
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(output[1], *inputs[3:])
        ctx.save_for_forward(output[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> Any:
        z, *theta = ctx.saved_tensors
        w = grad[:, None].to(z.dtype) * _solve_with(ctx.task, theta, z, ctx.options, True)
        wanted = [index for index in range(len(theta)) if ctx.needs_input_grad[3 + index]]
        return None, None, None, *ctx.task.pull(theta, wanted, z, w)

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        return torch.zeros_like(ctx.saved_tensors[0]), None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], task: _Task, compute: _Compute, options: dict[str, Any], *theta: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, int, int]]:
        samples = [_log(task, compute, options, *one) for one in _one_by_one(info.batch_size, in_dims[3:], theta)]
        return tuple(torch.stack(each) for each in zip(*samples, strict=True)), (0, 0, 0)


_log: Any = _Log.apply


def _solve_with(task: _Task, theta: Sequence[Tensor], rhs: Tensor, options: dict[str, Any], value: bool) -> Tensor:
    """Return ``M^-1 rhs``; with ``value=False`` zero, with its derivatives."""
    equation = Square(CG(task.A, adjoint_rtol=options["rtol1"], adjoint_niter=options["niter"]), options, "inverse")
    x: Tensor = _solve(equation, value, rhs, 0.0, None, *theta)
    return x


# -- both -----------------------------------------------------------------------------------------------------


def _inner(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = inner(a, b).squeeze(-1)
    return product


def _one_by_one(size: int, in_dims: Sequence[int | None], theta: Sequence[Tensor]) -> Any:
    """Yield the tensors of each sample: a Krylov space is of one matrix."""
    for index in range(size):
        yield [t if axis is None else t.select(axis, index) for t, axis in zip(theta, in_dims, strict=True)]


def may_be_differentiated(A: LinearOperator) -> bool:
    """Whether a derivative with respect to the tensors of ``A`` may be asked for."""
    wants = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in A._all_tensors())
    return wants or not is_plain_eager()


def _refuse_hidden_tensors(task: _Task, theta: Sequence[Tensor]) -> None:
    """Raise where the operator computes with a tensor that requires a gradient and is none of its own."""
    if not torch.is_grad_enabled():
        return
    M = task.A
    with torch.enable_grad():
        zeros = torch.zeros(1, M.shape[1], dtype=M.flat.dtype, device=M.flat.device)
        out = task.product([t.detach() for t in theta], zeros)
    if out.requires_grad:
        raise ValueError(
            f"{M.A.name_and_type} computes with a tensor that requires a gradient and is none of its parameters or "
            "buffers: the gradient would be lost. Register the tensor (self._register in a LinearOperator)."
        )
