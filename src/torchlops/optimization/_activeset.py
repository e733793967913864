r"""Derivatives of sparse solutions: those of the linear system that holds on their support.

Near a solution, the support :math:`S` stays as it is (unless :math:`|A^H r|` reaches its limit off the support too,
where the solution has a kink). There, with :math:`u = x / |x|`, a lasso obeys

.. math:: A_S^H A_S x_S = A_S^H y - \lambda u,

which is linear for real models, since signs are constant. For complex models, Newton's method makes it linear:
:math:`\lambda u` has the Jacobian :math:`\lambda D`, with :math:`D h = (h - u \Re(\bar u h)) / |x|` and
:math:`D x = 0`, so that a step is

.. math:: (A_S^H A_S + \lambda D)\, x^+ = A_S^H y - \lambda u.

Each step, from a constant, makes derivatives of twice the order exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization.implicit import _EQUATIONS, Equation, Normal, _as_factor, _constant, _is_damped, attach


class OnSupport(Equation):
    """The least-squares problem on the support of the solution."""

    has_own_derivative = True

    def rhs_dims(self) -> tuple[int, ...]:
        return self.A.dimsd

    def solve(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:
        solver = self.solver
        self._run(solver, rhs, damp, x0)
        x: Tensor = solver._as_array(solver.x, self.A.dims, solver._model_dtype)
        return x

    def derivative(self, rhs: Tensor, damp: Any, x: Tensor) -> Tensor:
        new = self.again(rhs, damp, x)
        zero: Tensor = new - _constant(new)
        return zero

    def again(self, rhs: Tensor, damp: Any, x: Tensor) -> Tensor:  # noqa: ARG002
        """Return the solution as a function of the data and of all tensors, given its constant value ``x``."""
        return self.on_support(x, self.A.apply_nd(rhs, True), None)

    def on_support(self, x: Tensor, g: Tensor, weight: Any) -> Tensor:
        """Return the solution of ``(A_S^H A_S + weight D) h = g_S`` on the support of ``x``."""
        A = _Restricted(self.A, x, weight)
        options = {"niter": 0, **self._tightened()}
        equation = Normal(self.solver._copy_for(A, None), options, "inverse")
        return A.support * attach(equation, A.support * g, 0.0)  # gradients off the support are cut off too

    def _tightened(self) -> dict[str, Any]:
        rtol = self.solver.adjoint_rtol or 10 * torch.finfo(self.solver._model_dtype).eps
        return {"niter": self.solver.adjoint_niter or 4 * sum(self.A.shape), "rtol1": rtol}


class Lasso(OnSupport):
    """``min ||y - A x||^2 + eps ||x||_1``, with ``eps`` in the place of the damping."""

    def again(self, rhs: Tensor, damp: Any, x: Tensor) -> Tensor:
        weight = _as_factor(damp, self.A) / 2
        g = self.A.apply_nd(rhs, True)
        if not x.is_complex():
            return self.on_support(x, g - weight * x.sgn(), None)
        for _ in range(2):
            x = self.on_support(x, g - weight * _phase(x), weight)
        return x


class BasisPursuit(OnSupport):
    r"""``min ||x||_1`` for ``||y - A x|| <= sigma``, with ``sigma`` in the place of the damping.

    It is the lasso :math:`x = p - \lambda q` with :math:`p = M^{-1} A_S^H y`, :math:`q = M^{-1} u` and
    :math:`M = A_S^H A_S` (plus :math:`\lambda D` for complex models, in a step of Newton's method), whose
    :math:`\lambda` is fixed by the residual: :math:`\sigma^2 = \|y - A p + \lambda A q\|^2`. With a radius,
    :math:`\lambda` is fixed by :math:`\langle u, x \rangle = \tau`.
    """

    def again(self, rhs: Tensor, damp: Any, x: Tensor) -> Tensor:
        if not x.is_complex():
            return self._step(rhs, damp, x, None)[0]
        if not _is_damped(damp) and not _is_damped(self.options["tau"]):
            return self.on_support(x, self.A.apply_nd(rhs, True), None)
        weight = _constant(self._weight(rhs, x))
        for _ in range(2):
            x, weight = self._step(rhs, damp, x, torch.where(weight > 0, weight, 1.0))
        return x

    def _weight(self, rhs: Tensor, x: Tensor) -> Tensor:
        """Return the multiplier, the modulus of ``A^H r`` on the support (or 0 where that is empty)."""
        g = self.A.apply_nd(rhs - self.A.apply_nd(x, False), True)
        axes = tuple(range(-len(self.A.dims), 0))
        size = (x != 0).to(g.abs().dtype).sum(axes, keepdim=True).clamp(min=1)
        return (_phase(x).conj() * g).real.sum(axes, keepdim=True) / size

    def _step(self, rhs: Tensor, damp: Any, x: Tensor, weight: Any) -> tuple[Tensor, Tensor]:
        """Return the next solution and the next multiplier."""
        A, tau = self.A, self.options["tau"]
        u = _phase(x)
        p = self.on_support(x, A.apply_nd(rhs, True), weight)
        if not _is_damped(damp) and not _is_damped(tau):
            return p, torch.zeros_like(p)
        q = self.on_support(x, u, weight)
        axes, of_data = tuple(range(-len(A.dims), 0)), tuple(range(-len(A.dimsd), 0))
        if not _is_damped(damp):
            excess = _inner(u, p, axes) - _as_factor(tau, A)
            length = _inner(u, q, axes)
            ratio = torch.where(length > 0, excess.clamp(min=0) / torch.where(length > 0, length, 1.0), 0.0)
            return p - q * ratio, ratio
        sigma = damp.reshape((*damp.shape, *(1,) * len(A.dimsd))) if isinstance(damp, Tensor) else damp
        r, Aq = rhs - A.apply_nd(p, False), A.apply_nd(q, False)
        scale = _inner(Aq, Aq, of_data)
        half = 0.0 if weight is None else _inner(r, Aq, of_data)  # it is orthogonal where M is A_S^H A_S
        square = half**2 + scale * (sigma**2 - _inner(r, r, of_data))
        good = (square > 0) & (scale > 0)
        root = torch.where(good, square, 1.0).sqrt() - half
        new = torch.where(good, root / torch.where(good, scale, 1.0), 0.0)
        new = new.reshape((*new.shape[: new.ndim - len(A.dimsd)], *(1,) * len(A.dims)))
        return p - new * q, new


_EQUATIONS.update({"on support": OnSupport, "lasso": Lasso, "basis pursuit": BasisPursuit})


class _Restricted(LinearOperator):
    """``A`` on the support of ``x``, stacked with ``sqrt(weight) T``, where ``T^H T = D``."""

    support: Tensor
    turn: Tensor
    A: LinearOperator

    def __init__(self, A: LinearOperator, x: Tensor, weight: Any) -> None:
        rows, columns = A.shape
        dimsd = A.dimsd if weight is None else (rows + columns,)
        dtype = x.dtype if weight is not None else A._torch_dtype()
        super().__init__(A.dims, dimsd, dtype, A.clinear and weight is None, A.real_model)
        self.A = A
        self._register("support", (x != 0).to(x.abs().dtype))
        self.has_turn = weight is not None
        if weight is not None:
            size = torch.where(x != 0, x.abs(), 1.0)
            self._register("turn", torch.where(x != 0, 1j * _phase(x) * (weight / size) ** 0.5, 0.0))

    def _forward(self, x: Tensor) -> Tensor:
        y = self.A.apply_nd(self.support * x, False)
        if not self.has_turn:
            return y
        turned = (self.turn.conj() * x).real.to(y.dtype)
        return torch.cat([y.flatten(y.ndim - len(self.A.dimsd)), turned.flatten(x.ndim - len(self.dims))], -1)

    def _adjoint(self, y: Tensor) -> Tensor:
        if not self.has_turn:
            return self.support * self.A.apply_nd(y, True)
        batch = y.shape[:-1]
        data = y.narrow(-1, 0, self.A.shape[0]).reshape(*batch, *self.A.dimsd)
        turned = y.narrow(-1, self.A.shape[0], self.A.shape[1]).reshape(*batch, *self.dims)
        return self.support * self.A.apply_nd(data, True) + self.turn * turned.real


def _inner(a: Tensor, b: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return ``Re <a, b>`` of each sample."""
    product: Tensor = (a.conj() * b).real.sum(axes, keepdim=True)
    return product


def _phase(x: Tensor) -> Tensor:
    """Return ``x / |x|``, and 0 where ``x`` is 0."""
    full = x != 0
    return torch.where(full, x / torch.where(full, x, 1.0).abs(), 0.0)
