r"""Derivatives of solutions with penalties :math:`\|R x\|_1`: those of the linear system on their cosupport.

The cosupport :math:`I` is where :math:`R x = 0`; split Bregman has exact zeros of its :math:`d` there. Near a solution
it stays as it is (unless a multiplier reaches its limit, where the solution has a kink), and so does, for real models,
the sign :math:`u` of :math:`R_S x` on the other rows :math:`S`. With the multipliers :math:`b` and the weights
:math:`\lambda = \epsilon_1^2`, the solution obeys

.. math::
    \begin{bmatrix} H & R_I^H \epsilon_1 \\ \epsilon_1 R_I & 0 \end{bmatrix} \begin{bmatrix} x \\ b \end{bmatrix}
    = \begin{bmatrix} \mu A^H y + \sum_j \epsilon_{2,j} R_{2,j}^H y_{2,j} - R_S^H \lambda u \\ 0 \end{bmatrix}, \quad
    H = \mu A^H A + \sum_j \epsilon_{2,j} R_{2,j}^H R_{2,j},

which is solved by MINRES, as it is indefinite, and singular (but consistent) where rows of :math:`R_I` depend on each
other. For complex models, Newton's method adds :math:`R_S^H \lambda D R_S` to :math:`H`, with
:math:`D h = (h - u \Re(\bar u h)) / |R x|`, as for a lasso (see ``_activeset.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchlops.arrays import as_tensor, promote, real_dtype
from torchlops.linearoperator import LinearOperator
from torchlops.optimization._activeset import _phase
from torchlops.optimization._problem import read_data
from torchlops.optimization.basesolver import Solver
from torchlops.optimization.cls_minres import MINRES
from torchlops.optimization.implicit import (
    Equation,
    _complain_of_derivative,
    _complain_of_iterations,
    _constant,
    _MappedOperator,
    _refuse_hidden_tensors,
    _solve,
    attach,
)


class Cosupport(Equation):
    """The problem of split Bregman, whose right-hand side holds the data of all terms, and then their weights.

    The solution is ``x``, and then ``d``. ``options["shapes"]`` has ``dims`` and ``dimsd`` of each operator.
    """

    def rhs_dims(self) -> tuple[int, ...]:
        return (self.options["length"],)

    def dims(self) -> tuple[int, ...]:
        count = 1 + self.options["of_L2"]
        return (self.A.shape[1] + sum(math.prod(dimsd) for _, dimsd in self.options["shapes"][count:]),)

    def probe(self, rhs: Tensor) -> Tensor:
        batch = rhs.shape[:-1]
        dtype = real_dtype(rhs.dtype) if self.A.real_model else rhs.dtype
        return self.A.apply_nd(rhs.new_zeros((*batch, *self.A.dims), dtype=dtype), False)

    def solve(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:  # noqa: ARG002
        shapes, of_L2, options = self.options["shapes"], self.options["of_L2"], self.options["of_solver"]
        sizes = [math.prod(dimsd) for _, dimsd in shapes[: 1 + of_L2]]
        y, *targets, numbers = torch.split(rhs, [*sizes, self.options["length"] - sum(sizes)], -1)
        mu, *eps = numbers.real.unbind(-1) if numbers.is_complex() else numbers.unbind(-1)
        y = y if self.options["is_complex"] else y.real
        A, *Regs = _parts_of(self.A, shapes)
        is_mapped = isinstance(self.A, _MappedOperator)
        solver: Any = self.solver._copy_for(A, None) if is_mapped else self.home
        batch = rhs.shape[:-1]
        solver._go(
            y.reshape(*batch, *A.dimsd), x0, damp=mu, RegsL2=Regs[:of_L2], RegsL1=Regs[of_L2:], dataregsL2=targets,
            epsRL2s=eps[:of_L2], epsRL1s=eps[of_L2:], **options,
        )  # fmt: skip
        if is_mapped:
            self.home._take_state(solver)
        _complain_of_iterations(solver)
        dtype = solver._model_dtype
        x = solver._as_array(solver.x, (self.A.shape[1],), dtype)
        return torch.cat([x, solver._as_array(solver.d, (self.dims()[0] - self.A.shape[1],), dtype)], -1)


class KKT(Equation):
    """``rhs - K x = 0`` for a symmetric operator, by MINRES."""

    def rhs_dims(self) -> tuple[int, ...]:
        return self.A.dims

    def solve(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:  # noqa: ARG002
        solver = MINRES(self.A, on_fail="ignore", compact=False, check_every=self.solver.check_every)
        solver._go(rhs, None, damp=0.0, tol=0.0, **self.options)
        _complain_of_derivative(solver, self.solver.on_fail)
        x: Tensor = solver._public
        return x

    def residual(self, rhs: Tensor, damp: Any, x: Tensor) -> Any:  # noqa: ARG002
        return rhs - self.A.apply_nd(x, False)

    def inverse(self) -> Equation:
        return self

    adjoint = inverse


def solve_with_cosupport(solver: Any, y: Tensor, x0: Any, options: dict[str, Any]) -> Tensor:
    """Return the solution by split Bregman, with its derivatives with respect to all that it depends on."""
    A = solver.Op
    options = dict(options)
    mu, targets = options.pop("damp"), options.pop("dataregsL2")
    Regs1, Regs2 = options.pop("RegsL1"), options.pop("RegsL2")
    eps = [*options.pop("epsRL2s"), *options.pop("epsRL1s")]
    y, batch, nd, _ = read_data(A, y)
    guess = None if x0 is None else as_tensor(x0, "x0").reshape(*batch, *A.dims)
    solver._set_dtypes(y, guess)
    dtype = solver._data_dtype
    solver.batch, solver.y = batch, y.detach()  # for reading the numbers
    names = ["mu", *["epsRL2s"] * len(Regs2), *["epsRL1s"] * len(Regs1)]
    numbers = [_number(solver, value, name) for value, name in zip((mu, *eps), names, strict=True)]
    targets = [
        y.new_zeros((R.shape[0],)) if targets is None else as_tensor(targets[i], "dataregsL2").to(y.device)
        for i, R in enumerate(Regs2)
    ]
    targets = [flat_target(t.to(solver._model_dtype), R.dimsd, batch) for t, R in zip(targets, Regs2, strict=True)]
    data = y.to(dtype).reshape(*batch, A.shape[0])
    stacked = Stacked([A, *Regs2, *Regs1])
    rhs = torch.cat([data, *(part.to(dtype) for part in (*targets, *(n.expand(*batch, 1) for n in numbers)))], -1)
    shapes = [(R.dims, R.dimsd) for R in (A, *Regs2, *Regs1)]
    everything = {
        "shapes": shapes, "of_L2": len(Regs2), "length": rhs.shape[-1], "of_solver": options,
        "is_complex": dtype.is_complex,
    }  # fmt: skip
    equation = Cosupport(solver._copy_for(stacked, None), everything, "user", solver)
    both: Tensor = _solve(equation, True, *map(_constant, (rhs, 0.0, guess, *equation.tensors())))
    x, d = both.narrow(-1, 0, A.shape[1]), both.narrow(-1, A.shape[1], both.shape[-1] - A.shape[1])
    if solver.grad is not None:
        mu, eps2, eps1 = numbers[0], numbers[1 : 1 + len(Regs2)], numbers[1 + len(Regs2) :]
        new = _again(solver, stacked, len(Regs2), data, targets, mu, eps2, eps1, d)
        x = x + (new - _constant(new))
    return x.reshape(*batch, *A.dims) if nd else x


def refuse_hidden_tensors_of(R: LinearOperator, solver: Any, y: Tensor) -> None:
    """Raise where ``R`` computes with a tensor that wants a gradient and that it does not tell of."""
    dtype = real_dtype(y.dtype) if R.real_model and y.is_complex() else y.dtype
    _refuse_hidden_tensors(KKT(solver._copy_for(R, None), {}), (), torch.zeros(R.dims, dtype=dtype, device=y.device))


def _again(
    solver: Any, stacked: Stacked, of_L2: int, y: Tensor, targets: Any, mu: Tensor, eps2: Any, eps1: Any, d: Tensor
) -> Tensor:
    """Return the solution as a function of all tensors, given its constant ``d``."""
    A, *Regs = stacked.operators()
    Regs1 = Regs[of_L2:]
    lengths = [R.shape[0] for R in Regs1]
    batch = y.shape[:-1]
    size = A.shape[1]
    eps = torch.cat([e.expand(*batch, length) for e, length in zip(eps1, lengths, strict=True)], -1)
    fixed = mu * _apply(A, y, True, solver._model_dtype)
    for R, e, target in zip(Regs[:of_L2], eps2, targets, strict=True):
        fixed = fixed + e * _apply(R, target, True, solver._model_dtype)
    kept = (d != 0).to(d.abs().dtype)
    options = {
        "niter": solver.adjoint_niter or 10 * (size + d.shape[-1]),
        "rtol1": solver.adjoint_rtol or torch.finfo(eps.dtype).eps ** 0.75,
    }
    x, v = fixed, d
    for step in range(2 if d.is_complex() else 1):
        if step:
            Rx = [_apply(R, x, False, solver._model_dtype) for R in Regs1]
            v = kept * torch.cat(Rx, -1)
        g = fixed
        for R, part in zip(Regs1, torch.split(eps**2 * _phase(v), lengths, -1), strict=True):
            g = g - _apply(R, part, True, solver._model_dtype)
        K = _System(stacked, of_L2, lengths, mu, eps2, eps, v, solver)
        equation = KKT(solver._copy_for(K, None), options, "inverse")
        x = attach(equation, torch.cat([g, torch.zeros_like(d)], -1), 0.0).narrow(-1, 0, size)
    return x


class Stacked(LinearOperator):
    """All operators of the problem in one: ``(A x, R_2 x, ..., R_1 x, ...)``, flat."""

    def __init__(self, operators: Sequence[LinearOperator]) -> None:
        A = operators[0]
        dtype = promote([P._torch_dtype() for P in operators])
        rows = sum(P.shape[0] for P in operators)
        super().__init__(A.dims, (rows,), dtype, all(P.clinear for P in operators), A.real_model)
        self.parts = nn.ModuleList(operators)

    def operators(self) -> list[LinearOperator]:
        return list(self.parts)  # type: ignore[arg-type]

    def _forward(self, x: Tensor) -> Tensor:
        batch = x.shape[: x.ndim - len(self.dims)]
        out = [P.apply_nd(x.reshape(*batch, *P.dims), False).reshape(*batch, P.shape[0]) for P in self.operators()]
        return torch.cat(out, -1)

    def _adjoint(self, y: Tensor) -> Tensor:
        batch = y.shape[:-1]
        parts = torch.split(y, [P.shape[0] for P in self.operators()], -1)
        return sum(  # type: ignore[return-value]
            P.apply_nd(part.reshape(*batch, *P.dimsd), True).reshape(*batch, *self.dims)
            for P, part in zip(self.operators(), parts, strict=True)
        )


class _View(LinearOperator):
    """One operator of a stack that :func:`torch.vmap` has mapped, and that works as a whole only."""

    stacked: LinearOperator

    def __init__(self, stacked: LinearOperator, first: int, dims: tuple[int, ...], dimsd: tuple[int, ...]) -> None:
        super().__init__(dims, dimsd, stacked._torch_dtype(), stacked.clinear, stacked.real_model)
        self.stacked, self.first = stacked, first

    def _forward(self, x: Tensor) -> Tensor:
        batch = x.shape[: x.ndim - len(self.dims)]
        y = self.stacked.apply_nd(x.reshape(*batch, *self.stacked.dims), False)
        return y.narrow(-1, self.first, self.shape[0]).reshape(*batch, *self.dimsd)

    def _adjoint(self, y: Tensor) -> Tensor:
        batch = y.shape[: y.ndim - len(self.dimsd)]
        after = self.stacked.shape[0] - self.first - self.shape[0]
        whole = nn.functional.pad(y.reshape(*batch, self.shape[0]), (self.first, after))
        return self.stacked.apply_nd(whole, True).reshape(*batch, *self.dims)


def _parts_of(stacked: LinearOperator, shapes: Sequence[Any]) -> list[LinearOperator]:
    if isinstance(stacked, Stacked):
        return stacked.operators()
    views: list[LinearOperator] = []
    first = 0
    for dims, dimsd in shapes:
        views.append(_View(stacked, first, dims, dimsd))
        first += math.prod(dimsd)
    return views


class _System(LinearOperator):
    """The symmetric system of ``x`` and the multipliers; a multiplier off the cosupport is 0, by a row of its own."""

    mu: Tensor
    eps: Tensor
    off: Tensor
    turn: Tensor

    def __init__(
        self, stacked: Stacked, of_L2: int, lengths: Any, mu: Tensor, eps2: Any, eps: Tensor, v: Tensor, solver: Any
    ) -> None:
        size = stacked.shape[1] + sum(lengths)
        super().__init__((size,), (size,), v.dtype, stacked.clinear and not v.is_complex())
        self.stacked, self.of_L2, self.lengths = stacked, of_L2, lengths
        self.of_models = [stacked.shape[1], *lengths]
        self._register("mu", mu)
        for index, weight in enumerate(eps2):
            self._register(f"eps2_{index}", weight)
        zero = v == 0
        self._register("eps", torch.where(zero, eps, 0.0))
        self._register("off", (~zero).to(eps.dtype))
        self.has_turn = v.is_complex()
        if self.has_turn:
            length = torch.where(zero, 1.0, v.abs())
            self._register("turn", torch.where(zero, 0.0, 1j * _phase(v) * eps / length**0.5))
        self.model_dtype = solver._model_dtype

    def _forward(self, z: Tensor) -> Tensor:
        A, *Regs = self.stacked.operators()
        x, *multipliers = torch.split(z, self.of_models, -1)
        top = self.mu * _apply(A, _apply(A, x, False, self.model_dtype), True, self.model_dtype)
        for index, R in enumerate(Regs[: self.of_L2]):
            of_R = _apply(R, _apply(R, x, False, self.model_dtype), True, self.model_dtype)
            top = top + getattr(self, f"eps2_{index}") * of_R
        first, bottom = 0, []
        for R, length, b in zip(Regs[self.of_L2 :], self.lengths, multipliers, strict=True):
            Rx = _apply(R, x, False, self.model_dtype)
            eps, off = self.eps.narrow(-1, first, length), self.off.narrow(-1, first, length)
            upper = eps * b
            if self.has_turn:
                turn = self.turn.narrow(-1, first, length)
                upper = upper + turn * (turn.conj() * Rx).real
            top = top + _apply(R, upper, True, self.model_dtype)
            bottom.append(eps * Rx + off * b)
            first += length
        return torch.cat([top, *bottom], -1)

    _adjoint = _forward


def _apply(A: LinearOperator, x: Tensor, adjoint: bool, model_dtype: torch.dtype) -> Tensor:
    """Apply ``A`` to flat samples; the result has the dtype of models where models are real."""
    dims, out_dims = (A.dimsd, A.dims) if adjoint else (A.dims, A.dimsd)
    batch = x.shape[:-1]
    out = A.apply_nd(x.reshape(*batch, *dims), adjoint).reshape(*batch, math.prod(out_dims))
    if adjoint and out.is_complex() and not model_dtype.is_complex:
        out = out.real
    return out


def _number(solver: Solver, value: Any, name: str) -> Tensor:
    if not hasattr(value, "shape"):
        return solver.y.new_full((1,), float(value), dtype=real_dtype(solver._model_dtype))
    return solver._checked(value, name).unsqueeze(-1)


def flat_target(target: Tensor, dims: tuple[int, ...], batch: tuple[int, ...]) -> Tensor:
    """Return data of a penalty, of all samples or of each, as ``(*batch, n)``."""
    size = math.prod(dims)
    of_sample = len(dims) if tuple(target.shape[-len(dims) :]) == dims else 1
    if of_sample == 1 and (target.ndim == 0 or target.shape[-1] != size):
        raise ValueError(f"dataregsL2 must have the shape {dims} (or {(size,)}) of each, got {tuple(target.shape)}")
    return target.reshape(*target.shape[: target.ndim - of_sample], size).expand(*batch, size)
