r"""Derivatives of solutions, exact in every mode, at the cost of one more solve and no stored iterations.

A solution :math:`x` makes the residual :math:`r(b, \theta, x)` of an equation zero. The residual is linear in
:math:`x`, :math:`\partial r / \partial x = -N(\theta)`, and in the right-hand side :math:`b`. So

.. math::

    \bar w = N^{-H} \bar x, \quad \bar b = (\partial r / \partial b)^H \bar w, \quad
    \bar\theta = (\partial r / \partial\theta)^H \bar w, \qquad
    \dot x = N^{-1} (\partial r / \partial b) \, \dot b.

The backward pass is made of the equation and of differentiable torch code, so that it is differentiable itself, to any
order. The forward rule holds for fixed :math:`\theta` only, since torch loses tangents of what a rule reads, where
forward mode is nested. So tangents are taken off the arguments first (:class:`_Drop`), and put back by as many
corrections :math:`x \leftarrow x + N^{-1} r(b, \theta, x)` as forward levels are active. Each leaves the value alone
and makes one more order exact: the error obeys :math:`e \leftarrow (I - N(\hat\theta)^{-1} N(\theta)) e`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from torchlops.arrays import as_tensor
from torchlops.linearoperator import LinearOperator
from torchlops.optimization._problem import read_data
from torchlops.optimization.basesolver import Solver, SolverError, SolverWarning, Status, describe
from torchlops.optimization.cls_cgls import CGLS, NormalCGLS
from torchlops.torch_internals import count_forward_levels, is_batched_by_legacy_vmap, is_plain_eager, is_wrapped


class Equation(nn.Module):
    """A solver with its options, its residual, and the tensors of its operator within reach.

    Right-hand sides and solutions have the shapes ``(*batch, *dims)`` of the operator.

    Args:
        solver: The solver of the user.
        options: The options of its ``solve``.
        home: The solver that is told how the solution went, ``solver`` itself by default.
        side: ``"user"`` for what the user asked for, ``"inverse"`` and ``"adjoint"`` for the equations of its
            derivatives, with the matrices ``N`` and ``N^H``.
    """

    has_own_derivative = False
    """Whether the solution is not linear in the right-hand side, so that ``derivative`` is needed."""

    def __init__(self, solver: Solver, options: dict[str, Any], side: str = "user", home: Solver | None = None) -> None:
        super().__init__()
        self.A = solver.Op
        self.M = solver.M
        self.solver, self.options, self.side = solver, options, side
        self.home = solver if home is None else home
        self.names = [name for name, _ in (*self.named_parameters(), *self.named_buffers())]

    def tensors(self) -> list[Tensor]:
        """Return the tensors of the operator and of the preconditioner."""
        return [tensor for _, tensor in (*self.named_parameters(), *self.named_buffers())]

    def call(self, theta: Sequence[Tensor], task: str, *arguments: Any) -> Any:
        """Return what the method ``task`` does where the tensors are ``theta``."""
        return functional_call(self, dict(zip(self.names, theta, strict=True)), (task, *arguments))

    def forward(self, task: str, *arguments: Any) -> Any:
        return getattr(self, task)(*arguments)

    def probe(self, rhs: Tensor) -> Tensor:
        """Apply the operator to something of the shape of a right-hand side."""
        return self.A._apply_to(rhs, self.rhs_dims() == self.A.dimsd)

    def rhs_dims(self) -> tuple[int, ...]:
        """Return the shape of one right-hand side."""
        raise NotImplementedError

    def dims(self) -> tuple[int, ...]:
        """Return the shape of one solution."""
        return self.A.dims

    def solve(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:
        """Return the solution, without derivatives."""
        raise NotImplementedError

    def residual(self, rhs: Tensor, damp: Any, x: Tensor) -> Any:
        """Return the residual of the equation."""
        raise NotImplementedError

    def derivative(self, rhs: Tensor, damp: Any, x: Tensor) -> Tensor:
        """Return zero, with the derivatives of the solution ``x``, which is a constant."""
        raise NotImplementedError

    def push(self, rhs: Tensor) -> Tensor:
        """Return the part of the residual that is linear in the right-hand side."""
        return rhs

    def pull(self, w: Tensor) -> Tensor:
        """Return the adjoint of ``push``."""
        return w

    def inverse(self) -> Equation:
        """Return the equation ``N x = rhs``."""
        raise NotImplementedError

    def adjoint(self) -> Equation:
        """Return the equation ``N^H x = rhs``."""
        raise NotImplementedError

    def solve_adjoint(self, rhs: Tensor, damp: Any, theta: Sequence[Tensor]) -> Tensor:
        """Return ``N^-H rhs``, from a warm start if the solver of the user has one."""
        adjoint, start = self.adjoint(), self.solver.adjoint_start
        if start is None or self.side != "user" or not is_plain_eager():
            w: Tensor = _solve(adjoint, True, rhs, damp, None, *theta)
            return w
        w = _solve(adjoint, True, rhs, damp, start.of(rhs, adjoint.dims()), *theta)
        start.w = w.detach()
        return w

    def mapped(self, theta: Sequence[Tensor], in_dims: Sequence[int | None]) -> Equation:
        """Return the equation whose tensors ``theta`` carry a further batch axis where ``in_dims`` says so."""
        of_A = sum(name.startswith("A.") for name in self.names)
        A = _MappedOperator(self.A, [name[2:] for name in self.names[:of_A]], theta[:of_A], in_dims[:of_A])
        M = None
        if self.M is not None:
            M = _MappedOperator(self.M, [name[2:] for name in self.names[of_A:]], theta[of_A:], in_dims[of_A:])
        solver = self.solver._copy_for(A, M)
        solver.compact = False
        return type(self)(solver, self.options, self.side, self.home)

    def _run(self, solver: Solver, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:
        solver._go(rhs, x0, damp=damp, **self.options)
        if self.side == "user":
            self.home._take_state(solver)
            _complain_of_iterations(solver)
        else:
            _complain_of_derivative(solver, self.solver.on_fail)
        x: Tensor = solver._public
        return x

    def _tightened(self) -> dict[str, Any]:
        """Return the options of the solves of derivatives."""
        if self.side != "user":
            return self.options
        solver = self.solver
        own = [self.options.get(name, 0.0) for name in ("rtol", "rtol1", "gtol", "atol", "btol")]
        own = [float(torch.as_tensor(tolerance).min()) for tolerance in own]  # of each sample, it may be
        own = [tolerance for tolerance in own if tolerance > 0]
        rounding = torch.finfo(torch.promote_types(solver._model_dtype, torch.float32)).eps
        rtol = solver.adjoint_rtol
        if rtol is None:
            rtol = max(min(own), 10 * rounding) if own else rounding**0.75
        niter = solver.adjoint_niter or max(self.options["niter"] or 0, self.A.shape[1])
        return {"niter": niter, "rtol1": rtol}


class LeastSquares(Equation):
    """``A^H (y - A x) - damp^2 x = 0``, by the solver of the user."""

    def rhs_dims(self) -> tuple[int, ...]:
        return self.A.dimsd

    def solve(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:
        return self._run(self.solver, rhs, damp, x0)

    def residual(self, rhs: Tensor, damp: Any, x: Tensor) -> Any:
        return self.A.apply_nd(rhs - self.A.apply_nd(x, False), True) - _as_factor(damp, self.A) ** 2 * x

    def push(self, rhs: Tensor) -> Tensor:
        return self.A.apply_nd(rhs, True)

    def pull(self, w: Tensor) -> Tensor:
        return self.A.apply_nd(w, False)

    def inverse(self) -> Equation:
        return Normal(self.solver, self._tightened(), "inverse")

    adjoint = inverse


class Normal(Equation):
    """``g - (A^H A + damp^2) x = 0``, by CGLS; with ``x`` and ``g`` models."""

    def rhs_dims(self) -> tuple[int, ...]:
        return self.A.dims

    def solve(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:
        solver = self._solved(rhs, damp, x0)
        _complain_of_derivative(solver, self.solver.on_fail)
        x: Tensor = solver._public
        return x

    def _solved(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> NormalCGLS:
        solver = NormalCGLS(self.A, on_fail="ignore", compact=self.solver.compact, check_every=self.solver.check_every)
        solver.offset = rhs
        no_data = rhs.new_zeros((*rhs.shape[: rhs.ndim - len(self.A.dims)], *self.A.dimsd))
        solver._go(no_data, x0, damp=damp, niter=self.options["niter"], tol=0.0, gtol=self.options["rtol1"])
        return solver

    def residual(self, rhs: Tensor, damp: Any, x: Tensor) -> Any:
        return rhs - self.A.apply_nd(self.A.apply_nd(x, False), True) - _as_factor(damp, self.A) ** 2 * x

    def inverse(self) -> Equation:
        return self

    adjoint = inverse


class SmallestSquares(LeastSquares):
    """Least squares with a null space: the equation of the part of the solution that is orthogonal to that."""

    def inverse(self) -> Equation:
        return SingularNormal(self.solver, self._tightened(), "inverse")

    adjoint = inverse


class SingularNormal(Normal):
    """``x = (A^H A)^+ g``."""

    def solve(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:
        solver = self._solved(rhs, damp, x0)
        if bool((solver.status == Status.CONVERGED).all()):
            x: Tensor = solver._public
            return x
        return self._closest(self.A, self._closest(self.A.H, rhs))  # part of g is in the null space

    def _closest(self, A: LinearOperator, y: Tensor) -> Tensor:
        solver = CGLS(A, on_fail="ignore", compact=self.solver.compact, check_every=self.solver.check_every)
        solver._go(y, None, niter=self.options["niter"], tol=0.0, gtol=self.options["rtol1"])
        _complain_of_derivative(solver, self.solver.on_fail)
        x: Tensor = solver._public
        return x


class Square(Equation):
    """``y - (A + damp) x = 0``, or with ``A^H``, by the solver of the user."""

    def rhs_dims(self) -> tuple[int, ...]:
        return self.A.dims if self.side == "adjoint" else self.A.dimsd

    def dims(self) -> tuple[int, ...]:
        return self.A.dimsd if self.side == "adjoint" else self.A.dims

    def solve(self, rhs: Tensor, damp: Any, x0: Tensor | None) -> Tensor:
        if self.side == "user":
            return self._run(self.solver, rhs, damp, x0)
        A, M = self.A, self.M
        if self.side == "adjoint":
            A, M = A.H, None if M is None else M.H
        solver = self.solver._copy_for(A, M)
        solver.on_fail = "ignore"
        return self._run(solver, rhs, damp, x0)

    def residual(self, rhs: Tensor, damp: Any, x: Tensor) -> Any:
        return rhs - self.A.apply_nd(x, self.side == "adjoint") - (_as_factor(damp, self.A) * x).reshape(rhs.shape)

    def inverse(self) -> Equation:
        return Square(self.solver, self._square_options(), "adjoint" if self.side == "adjoint" else "inverse")

    def adjoint(self) -> Equation:
        return Square(self.solver, self._square_options(), "inverse" if self.side == "adjoint" else "adjoint")

    def _square_options(self) -> dict[str, Any]:
        return {**self.options, "tol": 0.0, "rtol": 0.0, **self._tightened()}


_EQUATIONS: dict[str, type[Equation]] = {"least squares": LeastSquares, "square": Square}


class _MappedOperator(LinearOperator):
    """An operator whose tensors differ from sample to sample along the first batch axis (``torch.vmap``)."""

    def __init__(
        self,
        part: LinearOperator,
        names: Sequence[str],
        tensors: Sequence[Tensor],
        in_dims: Sequence[int | None],
    ) -> None:
        super().__init__(
            part.dims, part.dimsd, part._torch_dtype(), part.clinear, part.real_model, name=part.name_and_type
        )
        self.call = _Call(part)
        self.tensor_names = [f"A.{name}" for name in names]
        self.in_dims: list[int | None] = []
        for index, (tensor, axis) in enumerate(zip(tensors, in_dims, strict=True)):
            self.register_buffer(f"tensor{index}", tensor if axis is None else tensor.movedim(axis, 0))
            self.in_dims.append(None if axis is None else 0)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "call":
            object.__setattr__(self, name, value)  # its tensors are not ours
        else:
            super().__setattr__(name, value)

    def _forward(self, x: Tensor) -> Tensor:
        return self._mapped(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._mapped(y, True)

    def _mapped(self, x: Tensor, adjoint: bool) -> Tensor:
        tensors = [getattr(self, f"tensor{index}") for index in range(len(self.in_dims))]

        def one(x: Tensor, *tensors: Tensor) -> Any:
            return functional_call(self.call, dict(zip(self.tensor_names, tensors, strict=True)), (x, adjoint))

        out: Tensor = torch.func.vmap(one, in_dims=(0, *self.in_dims))(x, *tensors)
        return out


class _Call(nn.Module):
    """An operator as a module whose call is its forward or its adjoint."""

    def __init__(self, A: LinearOperator) -> None:
        super().__init__()
        self.A = A

    def forward(self, x: Tensor, adjoint: bool) -> Tensor:
        return self.A.apply_nd(x, adjoint)


class _Solve(torch.autograd.Function):
    """The solution of an equation; with ``value=False`` zero, with the derivatives of the solution of ``rhs = 0``."""

    @staticmethod
    def forward(equation: Equation, value: bool, rhs: Tensor, damp: Any, x0: Any, *theta: Tensor) -> Tensor:
        if is_batched_by_legacy_vmap(rhs):
            raise NotImplementedError(
                "a solver cannot be differentiated with is_grads_batched=True: use torch.func.vmap of torch.func.vjp"
            )
        if not value:
            return rhs.new_zeros((*rhs.shape[: rhs.ndim - len(equation.rhs_dims())], *equation.dims()))
        theta = tuple(tensor.detach() for tensor in theta)
        _refuse_hidden_tensors(equation, theta, rhs)
        x: Tensor = equation.call(theta, "solve", rhs.detach(), _detached(damp), _detached(x0))
        return x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        equation, _, rhs, damp, _, *theta = inputs
        ctx.equation, ctx.damp = equation, None if isinstance(damp, Tensor) else damp
        damp = damp if isinstance(damp, Tensor) else None
        ctx.save_for_backward(rhs, damp, output, *theta)
        ctx.save_for_forward(rhs, damp, output, *theta)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        rhs, damp, x, *theta = ctx.saved_tensors
        damp = ctx.damp if damp is None else damp
        equation = ctx.equation
        needed = ctx.needs_input_grad
        w = equation.solve_adjoint(grad, damp, theta)
        of_rhs = _like(equation.call(theta, "pull", w), rhs) if needed[2] else None

        wanted = [index for index, needs in enumerate((needed[3], *needed[5:])) if needs]
        parameters = [damp, *theta]

        def residual(*chosen: Tensor) -> Any:
            now = list(parameters)
            for index, tensor in zip(wanted, chosen, strict=True):
                now[index] = tensor
            return equation.call(now[1:], "residual", rhs, now[0], x)

        grads: list[Tensor | None] = [None] * len(parameters)
        if wanted:
            _, pullback, *_ = torch.func.vjp(residual, *(parameters[index] for index in wanted))
            for index, of_tensor in zip(wanted, pullback(w), strict=True):
                grads[index] = of_tensor
        return None, None, of_rhs, grads[0], None, *grads[1:]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        _, damp, x, *theta = ctx.saved_tensors
        rhs = tangents[2]
        if rhs is None:
            return torch.zeros_like(x)
        damp = ctx.damp if damp is None else damp
        pushed = ctx.equation.call(theta, "push", rhs)
        return _solve(ctx.equation.inverse(), True, pushed, damp, None, *theta)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        equation: Equation,
        value: bool,
        rhs: Tensor,
        damp: Any,
        x0: Any,
        *theta: Tensor,
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        batch = rhs.ndim - len(equation.rhs_dims()) - (in_dims[2] is not None)
        rhs = _with_leading_axis(rhs, in_dims[2], size)
        x0 = None if x0 is None else _with_leading_axis(x0, in_dims[4], size)
        if in_dims[3] is not None:
            damp = damp.movedim(in_dims[3], 0)
            damp = damp.reshape((size, *(1,) * (batch + 1 - damp.ndim), *damp.shape[1:]))
        if any(axis is not None for axis in in_dims[5:]):
            equation = equation.mapped(theta, in_dims[5:])
            theta = tuple(equation.tensors())
        return _solve(equation, value, rhs, damp, x0, *theta), 0


class _Drop(torch.autograd.Function):
    """The identity, which takes the tangents of forward mode off, and lets gradients through."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        return grad

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:  # noqa: ARG004
        return torch.zeros_like(tangent)


_solve: Any = _Solve.apply
_dropped: Any = _Drop.apply


def _has_null_space(solver: Solver, damp: Any) -> bool:
    """Whether the solution is the smallest one of several."""
    rows, columns = solver.Op.shape
    return solver.equation == "least squares" and (rows < columns or not solver.full_rank) and not _is_damped(damp)


def needs_attaching(solver: Solver, y: Tensor, damp: Any, x0: Any = None) -> bool:
    """Whether a derivative, or a transform, is about, so that the solution has to be attached to its arguments."""
    if not is_plain_eager():
        return True
    if not torch.is_grad_enabled() or solver.grad is None:
        return False
    guess = x0 if _has_null_space(solver, damp) else None  # elsewhere, the solution does not depend on it
    if any(
        isinstance(tensor, Tensor) and tensor.requires_grad for tensor in (y, damp, guess, *solver.Op._all_tensors())
    ):
        return True
    _refuse_hidden_tensors(_EQUATIONS[solver.equation](solver, {}), (), y)
    return False


def solve_attached(
    solver: Solver, y: Tensor, x0: Any, options: dict[str, Any], show: bool, itershow: Sequence[int]
) -> Tensor:
    """Return the solution by ``solver``, with its derivatives."""
    A = solver.Op
    options = {"show": show, "itershow": itershow, **options}
    damp = options.pop("damp", 0.0)
    damp = as_tensor(damp, "damp") if hasattr(damp, "shape") else damp
    y, batch, nd, _ = read_data(A, y)
    data = y.reshape(*batch, *A.dimsd)
    guess = None if x0 is None else as_tensor(x0, "x0").reshape(*batch, *A.dims)
    solver._set_dtypes(data, guess)
    has_null_space = _has_null_space(solver, damp)
    equation = (SmallestSquares if has_null_space else _EQUATIONS[solver.equation])(solver, options)
    if solver.grad is None or equation.has_own_derivative:
        x: Tensor = _solve(equation, True, *map(_constant, (data, damp, guess, *equation.tensors())))
    else:
        x = attach(equation, data, damp, guess)
    if solver.grad is not None and equation.has_own_derivative:
        x = x + equation.derivative(data, damp, x)
    if solver.grad is not None and has_null_space:
        x = _projected(equation, x, guess)
    return x if nd else x.reshape(*batch, A.shape[1])


def attach(equation: Equation, rhs: Tensor, damp: Any, x0: Tensor | None = None) -> Tensor:
    """Return the solution of ``equation`` with exact derivatives of every order and mode."""
    theta = equation.tensors()
    levels = count_forward_levels()
    if not levels:
        x: Tensor = _solve(equation, True, rhs, damp, x0, *theta)
        return x
    fixed = [_drop(tensor) for tensor in theta]
    fixed_damp = _drop(damp) if isinstance(damp, Tensor) else damp
    x = _solve(equation, True, _drop(rhs), fixed_damp, x0, *fixed)
    inverse = equation.inverse()
    for _ in range(levels):
        residual = equation.call(theta, "residual", rhs, damp, x)
        x = x + _solve(inverse, False, residual, fixed_damp, None, *fixed)
    return x


def _projected(equation: Equation, x: Tensor, x0: Tensor | None) -> Tensor:
    r"""Return the least-squares solution ``x``, with the derivatives of the one of smallest norm, ``A^+ y``.

    Those of the normal equations leave out that the null space of the operator moves, where there is one. The smallest
    solution is orthogonal to it,

    .. math:: x = A^H z, \qquad z = \mathrm{argmin}_z \|A^H z - x\|,

    and this second problem, whose residual is zero, has the rest of the derivatives. All systems on the way are
    singular, and consistent, as long as the rank stays the same. (From an initial guess :math:`x_0`, it is the solution
    closest to that: :math:`x_0 + A^H z`, with :math:`x - x_0` in the place of :math:`x`.)
    """
    A = equation.A
    user, options = equation.solver, equation._tightened()
    niter, rtol = options["niter"], options["rtol1"]
    how: dict[str, Any] = {"on_fail": user.on_fail, "compact": user.compact, "check_every": user.check_every}
    solver = CGLS(A.H, adjoint_rtol=rtol, adjoint_niter=niter, **how)
    of_rows = SmallestSquares(solver, {"niter": niter, "tol": 0.0, "gtol": rtol})
    start = x if x0 is None else x - x0
    projected: Tensor = A.apply_nd(attach(of_rows, start, 0.0), True)
    projected = projected if x0 is None else projected + x0
    result: Tensor = _constant(x) + (projected - _constant(projected))
    return result


class _Constant(torch.autograd.Function):
    """The identity, without derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        return torch.zeros_like(grad)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> None:  # noqa: ARG004
        return None


_constant_of: Any = _Constant.apply


def _constant(x: Any) -> Any:
    if not isinstance(x, Tensor) or is_plain_eager():
        return _detached(x)
    return _constant_of(x) if x.is_floating_point() or x.is_complex() else x


def _drop(x: Tensor) -> Tensor:
    dropped: Tensor = _dropped(x) if x.is_floating_point() or x.is_complex() else x
    return dropped


def _is_damped(damp: Any) -> bool:
    return isinstance(damp, Tensor) or damp != 0


def _as_factor(damp: Any, A: LinearOperator) -> Any:
    """Return ``damp`` with an axis for each of a model."""
    return damp.reshape((*damp.shape, *(1,) * len(A.dims))) if isinstance(damp, Tensor) else damp


def _like(gradient: Tensor, x: Tensor) -> Tensor:
    gradient = gradient.real if gradient.is_complex() and not x.is_complex() else gradient
    return gradient.to(x.dtype)


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def _with_leading_axis(x: Tensor, axis: int | None, size: int) -> Tensor:
    return x.expand(size, *x.shape) if axis is None else x.movedim(axis, 0)


def _refuse_hidden_tensors(equation: Equation, theta: Sequence[Tensor], rhs: Tensor) -> None:
    """Raise where the operator computes with a tensor that wants a gradient and that it does not tell of."""
    A = equation.A
    probe = torch.zeros_like(rhs)
    with torch.enable_grad():
        out = equation.call(theta, "probe", probe) if theta else equation.probe(probe)
    if out.requires_grad or is_wrapped(out):
        raise ValueError(
            f"{A.name_and_type} computes with a tensor that wants a gradient and that is none of its parameters or "
            "buffers: the gradient would be lost. Register the tensor (self._register in a LinearOperator), or "
            "differentiate the iterations, with grad='unroll'."
        )


def _complain_of_iterations(solver: Solver) -> None:
    """Warn where the derivative is that of a solution that was not reached."""
    early = _early(solver)
    if bool(early.any()) and solver.on_fail != "ignore":
        warnings.warn(
            f"{type(solver).__name__} on {solver.Op.name_and_type} stopped at niter={solver.niter}, before a tolerance "
            f"was met ({_which(early)}): the derivative is that of the exact solution, and "
            "is as wrong as this one. Raise niter, loosen the tolerance, or take grad='unroll' or grad=None.",
            SolverWarning,
            stacklevel=2,
        )


def _complain_of_derivative(solver: Solver, on_fail: str) -> None:
    bad = _early(solver) | (solver.status >= Status.INDEFINITE)
    if on_fail == "ignore" or not bool(bad.any()):
        return
    message = (
        f"the derivative of a solution on {solver.Op.name_and_type} is inexact, since its solve stopped early "
        f"({_which(bad)}): raise adjoint_niter or loosen adjoint_rtol, or add damping"
    )
    if on_fail == "raise":
        raise SolverError(message)
    warnings.warn(message, SolverWarning, stacklevel=2)


def _which(hit: Tensor) -> str:
    return describe(hit * int(Status.MAXITER), Status.MAXITER)


def _early(solver: Solver) -> Any:
    """Return which samples stopped far from the solution."""
    rounding = torch.finfo(solver.x.dtype).eps ** 0.5
    far = torch.as_tensor(solver._accuracy(), device=solver.status.device) > rounding
    early = (solver.status >= Status.MAXITER) & (solver.status < Status.INDEFINITE)
    return early & (far.squeeze(-1) if far.ndim > solver.status.ndim else far.reshape(solver.status.shape))
