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

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator, VerticalStack
from torchlops.optimization.implicit.equation import attach, value_of
from torchlops.optimization.implicit.linear import Call, Normal, Solved
from torchlops.optimization.implicit.solve import Attach, attach_again
from torchlops.optimization.implicit.tangents import constant
from torchlops.optimization.solver.problem import with_axes
from torchlops.optimization.sparse.omp import OMP
from torchlops.optimization.sparse.prox import phase
from torchlops.optimization.sparse.spgl1 import SPGL1


def refuse_derivative(what: str) -> Attach:
    """Return what raises where the derivative of the exact solution is wanted, and there is none."""

    def refuse(call: Call) -> Tensor:
        if call.options.grad is not None:
            raise ValueError(
                f"{call.solver.name} has no implicit derivative{what}: take grad='unroll' for that of the iterations "
                "as they run, or grad=None for none"
            )
        return value_of(Solved(call), *call.inputs)

    return refuse


def attach_lasso(call: Call) -> Tensor:
    """Attach the solution of ``min ||y - A x||^2 + eps ||x||_1``."""

    def again(x: Tensor) -> Tensor:
        weight, g = with_axes(call.weight, call.A.dims) / 2, adjoint(call.A, call.data)
        for _ in range(2 if x.is_complex() else 1):
            x = _on_support(call, x, g - weight * phase(x), weight)
        return x

    return attach_again(Solved(call), again)


def attach_pursuit(call: Call) -> Tensor:
    """Attach the least-squares solution on the support that matching pursuit finds."""
    assert isinstance(call.solver, OMP)
    basis = () if call.solver.Opbasis is None else (call.solver.Opbasis,)
    return attach_again(Solved(call, basis), lambda x: _on_support(call, x, adjoint(call.A, call.data)))


def attach_basis_pursuit(call: Call) -> Tensor:
    r"""Attach the solution of ``min ||x||_1`` for ``||y - A x|| <= sigma``, or of the lasso with a radius.

    It is the lasso :math:`x = p - \lambda q` with :math:`p = M^{-1} A_S^H y`, :math:`q = M^{-1} u` and
    :math:`M = A_S^H A_S` (plus :math:`\lambda D` for complex models, in a step of Newton's method), whose
    :math:`\lambda` is fixed by the residual: :math:`\sigma^2 = \|y - A p + \lambda A q\|^2`. With a radius,
    :math:`\lambda` is fixed by :math:`\langle u, x \rangle = \tau`.
    """
    assert isinstance(call.solver, SPGL1)
    tau = call.solver.tau
    tensors = (tau,) if isinstance(tau, Tensor) else ()

    def again(x: Tensor) -> Tensor:
        if call.is_unweighted and not tensors and tau == 0:
            return _on_support(call, x, adjoint(call.A, call.data))
        multiplier = constant(_multiplier(call, x))
        for _ in range(2 if x.is_complex() else 1):
            weight = torch.where(multiplier > 0, multiplier, 1.0)
            p, q = (_on_support(call, x, g, weight) for g in (adjoint(call.A, call.data), phase(x)))
            multiplier = _of_radius(call, x, p, q) if call.is_unweighted else _of_residual(call, p, q)
            x = p - multiplier * q
        return x

    return attach_again(Solved(call, (), tensors, (0,) * len(tensors)), again, *tensors)


def _multiplier(call: Call, x: Tensor) -> Tensor:
    """Return the modulus of ``A^H r`` on the support (or 0 where that is empty)."""
    g = adjoint(call.A, call.data - call.A.apply_nd(x))
    size = (x != 0).sum(_axes(call.A.dims), keepdim=True).clamp(min=1)
    return _inner(phase(x), g, call.A.dims) / size


def _of_radius(call: Call, x: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Return the multiplier for a radius."""
    assert isinstance(call.solver, SPGL1)
    dims, u = call.A.dims, phase(x)
    excess, length = _inner(u, p, dims) - with_axes(call.solver.tau, dims), _inner(u, q, dims)
    return torch.where(length > 0, excess.clamp(min=0) / torch.where(length > 0, length, 1.0), 0.0)


def _of_residual(call: Call, p: Tensor, q: Tensor) -> Tensor:
    """Return the multiplier for a norm of the residual."""
    A, dims = call.A, call.A.dimsd
    r, Aq = call.data - A.apply_nd(p), A.apply_nd(q)
    scale = _inner(Aq, Aq, dims)
    half = _inner(r, Aq, dims) if p.is_complex() else 0.0  # it is orthogonal where M is A_S^H A_S
    square = half**2 + scale * (with_axes(call.weight, dims) ** 2 - _inner(r, r, dims))
    good = (square > 0) & (scale > 0)
    root = torch.where(good, square, 1.0).sqrt() - half
    new = torch.where(good, root / torch.where(good, scale, 1.0), 0.0)
    return new.reshape((*call.batch, *(1,) * len(A.dims)))


def _on_support(call: Call, x: Tensor, g: Tensor, weight: Tensor | float | None = None) -> Tensor:
    """Return the solution of ``A_S^H A_S h = g_S`` on the support of ``x``, with ``weight D`` for complex models."""
    how = call.options.implicit
    support = (x != 0).to(x.abs().dtype)
    A: LinearOperator = OnSupport(call.A, support)
    if weight is not None and x.is_complex():
        A = VerticalStack((A, _Turn(x, A.dims, weight)))
    rtol, niter = how.rtol or 10 * call.rounding, how.niter or 4 * sum(call.A.shape)
    return support * attach(Normal(A, call.options, rtol, niter), support * g, None)  # gradients are cut off, too


class OnSupport(LinearOperator):
    """``A`` on a support, by a mask."""

    support: Tensor

    def __init__(self, A: LinearOperator, support: Tensor) -> None:
        super().__init__(A.dims, A.dimsd, A._torch_dtype(), A.clinear, A.real_model, name=A.name)
        self.A = A
        self._register("support", support)

    def _forward(self, x: Tensor) -> Tensor:
        return self.A.apply_nd(self.support * x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.support * self.A.apply_nd(y, True)


class _Turn(LinearOperator):
    """``sqrt(weight) T``, where ``T^H T = D``: how far a change turns the phase of ``x``."""

    root: Tensor

    def __init__(self, x: Tensor, dims: tuple[int, ...], weight: Tensor | float) -> None:
        super().__init__(dims, dtype=x.dtype, clinear=False)
        self._register("root", root_of_turn(x, weight**0.5))

    def _forward(self, x: Tensor) -> Tensor:
        return (self.root.conj() * x).real

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.root * y.real


def root_of_turn(x: Tensor, factor: Tensor | float) -> Tensor:
    """Return ``a``, 0 where ``x`` is, with which ``a Re(conj(a) h)`` is the derivative of ``factor^2 x / |x|``."""
    size = torch.where(x != 0, x.abs(), 1.0)
    return torch.where(x != 0, 1j * phase(x) * factor / size**0.5, 0.0)


def adjoint(A: LinearOperator, y: Tensor) -> Tensor:
    """Return ``A^H y``, which is real where models are."""
    x = A.apply_nd(y, True)
    return x.real if A.real_model and x.is_complex() else x


def _axes(dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(range(-len(dims), 0))


def _inner(a: Tensor, b: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return ``Re <a, b>`` of each sample."""
    product: Tensor = (a.conj() * b).real.sum(_axes(dims), keepdim=True)
    return product
