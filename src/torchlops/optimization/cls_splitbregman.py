"""Split Bregman iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchlops.linearoperator import LinearOperator
from torchlops.optimization._cosupport import flat_target, refuse_hidden_tensors_of, solve_with_cosupport
from torchlops.optimization._innersolver import least_squares, read_inner_options
from torchlops.optimization._sparsesolver import SparseResult, SparseSolver, as_numbers
from torchlops.optimization._thresholds import penalty, soft
from torchlops.optimization.implicit import needs_attaching
from torchlops.optimization.solver.vectors import axpy, keep, maximum, norm, ratio, scale, squared_norm


class SplitBregman(SparseSolver):
    r"""Split Bregman for mixed L2 and L1 penalties, such as total variation.

    .. math::
        J(x) = \frac{\mu}{2} \|y - A x\|^2 + \frac{1}{2} \sum_i \epsilon_{2,i} \|y_{2,i} - R_{2,i} x\|^2
        + \sum_i \epsilon_{1,i}^2 \|R_{1,i} x\|_1.

    With :math:`d_i` for :math:`R_{1,i} x`, each outer iteration repeats ``niter_inner`` times

    .. math::
        x \leftarrow \arg\min_x \frac{\mu}{2} \|y - A x\|^2 + \frac{1}{2} \sum_i \epsilon_{2,i} \|y_{2,i}
        - R_{2,i} x\|^2 + \frac{1}{2} \sum_i \epsilon_{1,i} \|d_i - b_i - R_{1,i} x\|^2, \qquad
        d_i \leftarrow \mathrm{soft}(R_{1,i} x + b_i, \epsilon_{1,i}),

    and then adds :math:`\tau (R_{1,i} x - d_i)` to :math:`b_i`. The iterates are those of PyLops. Note the square in
    the cost: a threshold :math:`\epsilon_1` with the coupling :math:`\epsilon_1` is that of the weight
    :math:`\epsilon_1^2`, where the documentation of PyLops has :math:`\epsilon_1`, and its printed cost 1.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments. With ``grad="implicit"`` derivatives are
    those of the minimiser of :math:`J`, with the entries of :math:`R_1 x` that are zero, by :math:`d`, kept zero, with
    respect to the data of all terms, all weights and all operators; so they take outer iterations until
    convergence, and a minimiser that is unique. They exist where no multiplier :math:`|b_i|` of a zero reaches
    :math:`\epsilon_{1,i}`, and, for an :math:`R_1` that changes, where the rows that are zero are independent.

    Source: T. Goldstein and S. Osher, The split Bregman method for L1-regularized problems, SIAM J. Imaging Sciences 2
    (2009), 323-343.

    Example:
        >>> import torch, torchlops
        >>> D = torchlops.FirstDerivative(5, edge=True, kind="forward", dtype="float64")
        >>> y = torch.tensor([0.0, 0.1, 0.0, 2.0, 2.1], dtype=torch.float64)
        >>> SplitBregman(torchlops.Identity(5)).solve(y, [D], epsRL1s=[0.5], niter_outer=500, niter_inner=1).x
        tensor([0.1167, 0.1167, 0.1167, 1.9250, 1.9250], dtype=torch.float64)
    """

    weight_name = "mu"
    has_first_cost = False
    vectors = ("start",)
    scalars = ("update", "first", "d", "b", "y", "of_L2")  # the accuracy, and derivatives, want the last ones

    def setup(
        self,
        y: Any,
        RegsL1: Sequence[Any],
        x0: Any = None,
        niter_outer: int = 3,
        niter_inner: int = 5,
        RegsL2: Sequence[Any] | None = None,
        dataregsL2: Sequence[Any] | None = None,
        mu: Any = 1.0,
        epsRL1s: Sequence[Any] | None = None,
        epsRL2s: Sequence[Any] | None = None,
        tol: float = 1e-10,
        tau: float = 1.0,
        restart: bool = False,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        *,
        rtol: float = 0.0,
        rtol1: float = 0.0,
        engine: str = "scipy",
        **kwargs_lsqr: Any,
    ) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in :meth:`solve`."""
        from torchlops.torchoperator import aslinearoperator

        name = type(self).__name__
        self.RegsL1: list[LinearOperator] = [aslinearoperator(R) for R in RegsL1]
        self.RegsL2: list[LinearOperator] = [aslinearoperator(R) for R in RegsL2 or ()]
        self.epsRL1s = [1.0] * len(self.RegsL1) if epsRL1s is None else list(epsRL1s)
        self.epsRL2s = [1.0] * len(self.RegsL2) if epsRL2s is None else list(epsRL2s)
        for what, eps, Regs in (("1", self.epsRL1s, self.RegsL1), ("2", self.epsRL2s, self.RegsL2)):
            self._check_count(what, eps, Regs)
        for R in (*self.RegsL1, *self.RegsL2):
            if R.shape[1] != self.Op.shape[1]:
                raise ValueError(f"{name}: {R.name_and_type} must take models of {self.Op.shape[1]}, not {R.shape[1]}")
        self.dataregsL2 = dataregsL2
        self.niter_inner, self.tol, self.tau, self.restart = niter_inner, tol, tau, restart
        self.rtol, self.rtol1 = rtol, rtol1
        self.inner = read_inner_options(name, engine, kwargs_lsqr, 2 * self.Op.shape[1])
        return self._setup(y, x0, mu, niter_outer, show)

    def solve(
        self,
        y: Any,
        RegsL1: Sequence[Any],
        x0: Any = None,
        niter_outer: int = 3,
        niter_inner: int = 5,
        RegsL2: Sequence[Any] | None = None,
        dataregsL2: Sequence[Any] | None = None,
        mu: Any = 1.0,
        epsRL1s: Sequence[Any] | None = None,
        epsRL2s: Sequence[Any] | None = None,
        tol: float = 1e-10,
        tau: float = 1.0,
        restart: bool = False,
        engine: str = "scipy",
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        itershow: Sequence[int] = (10, 10, 10),
        show_inner: bool = False,  # noqa: ARG002
        *,
        rtol: float = 0.0,
        rtol1: float = 0.0,
        **kwargs_lsqr: Any,
    ) -> SparseResult:
        """Solve the problem.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            RegsL1: Operators of the L1 penalties.
            x0: Initial guess; zero by default.
            niter_outer: Most outer iterations.
            niter_inner: Inner iterations in each of them.
            RegsL2: Operators of the L2 penalties.
            dataregsL2: Data of these; zero by default.
            mu: Weight of the misfit: a number, or one for each sample.
            epsRL1s: Thresholds of the L1 penalties, each a number, or one for each sample; 1 by default.
            epsRL2s: Weights of the L2 penalties, in the same way.
            tol: Stop a sample when the norm of a change of ``x`` is not above it.
            tau: Step of the Bregman update.
            restart: Whether least-squares solves start from ``x0``, not from the last ``x``.
            engine: Accepted and ignored: least-squares solves are conjugate gradients.
            preallocate: Accepted and ignored.
            show: Whether to print a table.
            itershow: Which lines of it: the first, the last, and every so many between.
            show_inner: Accepted and ignored.
            rtol: Stop a sample when its cost is below this times the first.
            rtol1: The same, relative to the norm of the data.
            **kwargs_lsqr: ``niter`` (or ``iter_lim``) of the least-squares solves, and ``atol``, the tolerance on their
                gradient, relative to that at zero.
        """
        result: SparseResult = self._solve(
            y, x0, show, itershow, damp=mu, RegsL1=RegsL1, niter_outer=niter_outer, niter_inner=niter_inner,
            RegsL2=RegsL2, dataregsL2=dataregsL2, epsRL1s=epsRL1s, epsRL2s=epsRL2s, tol=tol, tau=tau,
            restart=restart, engine=engine, rtol=rtol, rtol1=rtol1, **kwargs_lsqr,
        )  # fmt: skip
        return result

    def _solve(self, y: Any, x0: Any, show: bool, itershow: Sequence[int], **options: Any) -> Any:
        if torch.compiler.is_compiling() or self.grad == "unroll" or not isinstance(y, Tensor):
            return super()._solve(y, x0, show, itershow, **options)
        from torchlops.torchoperator import aslinearoperator

        for name in ("1", "2"):
            Regs = options[f"RegsL{name}"] = [aslinearoperator(R) for R in options[f"RegsL{name}"] or ()]
            eps = options[f"epsRL{name}s"]
            eps = options[f"epsRL{name}s"] = [1.0] * len(Regs) if eps is None else list(eps)
            self._check_count(name, eps, Regs)
        if not self._wants_cosupport(y, options):
            return super()._solve(y, x0, show, itershow, **options)
        return self._result(solve_with_cosupport(self, y, x0, {"show": show, "itershow": itershow, **options}))

    def _wants_cosupport(self, y: Tensor, options: dict[str, Any]) -> bool:
        """Whether a derivative, or a transform, is about."""
        if needs_attaching(self, y, options["damp"]):
            return True
        Regs = (*options["RegsL1"], *options["RegsL2"])
        others = (*options["epsRL1s"], *options["epsRL2s"], *(options["dataregsL2"] or ()))
        tensors = [*others, *(tensor for R in Regs for tensor in R._all_tensors())]
        if not torch.is_grad_enabled() or self.grad is None:
            return False
        if any(isinstance(tensor, Tensor) and tensor.requires_grad for tensor in tensors):
            return True
        for R in Regs:
            refuse_hidden_tensors_of(R, self, y)
        return False

    def _check_count(self, what: str, eps: Sequence[Any], Regs: Sequence[Any]) -> None:
        if len(eps) != len(Regs):
            raise ValueError(
                f"{type(self).__name__}: epsRL{what}s must have {len(Regs)} entries, as RegsL{what}, got {len(eps)}"
            )

    def _start(self) -> None:
        self.widths = [R.shape[0] * (2 if self._model_dtype.is_complex else 1) for R in self.RegsL1]
        self._eps1 = [self._of_each_sample(eps, "epsRL1s") for eps in self.epsRL1s]
        self._eps2 = [self._of_each_sample(eps, "epsRL2s") for eps in self.epsRL2s]
        self.d = self.y.new_zeros((*self.batch, sum(self.widths)))
        self.b = torch.zeros_like(self.d)
        self.start = self.x
        self.of_L2 = self._read_targets()
        self.update = self.ynorm * 0 + 1
        self._note()
        self.first = self.cost[0]

    def _read_targets(self) -> Tensor:
        """Return the data of the L2 penalties in one vector."""
        parts = [self.y.new_zeros((*self.batch, 0))]
        for index, R in enumerate(self.RegsL2):
            if self.dataregsL2 is None:
                width = R.shape[0] * (2 if self._model_dtype.is_complex else 1)
                parts.append(self.y.new_zeros((*self.batch, width)))
                continue
            target = as_numbers(self.dataregsL2[index], "dataregsL2", torch.empty(0, dtype=self._model_dtype))
            target = flat_target(target.to(self.y.device), R.dimsd, self.batch)
            parts.append(self._as_vector(target, R.dimsd, self._model_dtype))
        return torch.cat(parts, -1)

    def _regularise(self, R: LinearOperator, x: Tensor) -> Tensor:
        return self._as_vector(
            R.apply_nd(self._as_array(x, R.dims, self._model_dtype), False), R.dimsd, self._model_dtype
        )

    def _regularise_adjoint(self, R: LinearOperator, y: Tensor) -> Tensor:
        return self._as_vector(
            R.apply_nd(self._as_array(y, R.dimsd, self._model_dtype), True), R.dims, self._model_dtype
        )

    def _iterate(self) -> None:
        misfit = _root(self._damp)
        roots2 = [_root(eps) for eps in self._eps2]
        roots1 = [_root(eps) for eps in self._eps1]
        terms = [*zip(self.RegsL2, roots2, strict=True), *zip(self.RegsL1, roots1, strict=True)]

        def forward(x: Tensor) -> Tensor:
            return torch.cat([misfit * self.forward(x), *(root * self._regularise(R, x) for R, root in terms)], -1)

        def adjoint(y: Tensor) -> Tensor:
            rows = self.y.shape[-1]
            x = scale(self.adjoint(y.narrow(-1, 0, rows)), misfit)
            for R, root in terms:
                width = R.shape[0] * (2 if self._model_dtype.is_complex else 1)
                x = axpy(x, root, self._regularise_adjoint(R, y.narrow(-1, rows, width)))
                rows += width
            return x

        x, d = self.x, self.d
        fixed = [misfit * self.y, *(root * part for root, part in zip(roots2, self._split_L2(), strict=True))]
        for _ in range(self.niter_inner):
            coupled = (root * part for root, part in zip(roots1, self._split(d - self.b), strict=True))
            data = torch.cat([*fixed, *coupled], -1)
            x = least_squares(forward, adjoint, data, self.start if self.restart else x, self.x, 0.0, **self.inner)
            Rx = torch.cat([self._regularise(R, x) for R in self.RegsL1], -1)
            d = torch.cat(
                [
                    self._real(soft(self._complex(part, R.shape[0]), eps))
                    for part, R, eps in zip(self._split(Rx + self.b), self.RegsL1, self._eps1, strict=True)
                ],
                -1,
            )
        b = self.b + self.tau * (Rx - d)
        update = norm(x - self.x)
        x, d, b = (keep(self.active, new, old) for new, old in ((x, self.x), (d, self.d), (b, self.b)))
        if isinstance(self.active, Tensor):
            update = torch.where(self.active, update, self.update)
        self.x, self.d, self.b, self.update = x, d, b, update
        self._note()
        if self.iiter == 1:
            self.first = self.cost[-1]
        self._stop_small(self.tol, self.rtol, self.rtol1)

    def _treats_alike(self, x: Tensor) -> bool:
        count = x.shape[:1]
        if any(isinstance(eps, Tensor) for eps in (*self._eps1, *self._eps2)):
            return False
        try:
            alike = all(self._regularise(R, x.detach()).shape[:1] == count for R in (*self.RegsL1, *self.RegsL2))
        except RuntimeError:
            return False
        return alike and super()._treats_alike(x)

    def _split(self, v: Tensor) -> tuple[Tensor, ...]:
        return torch.split(v, self.widths, -1)

    def _split_L2(self) -> tuple[Tensor, ...]:
        width = 2 if self._model_dtype.is_complex else 1
        return torch.split(self.of_L2, [R.shape[0] * width for R in self.RegsL2], -1) if self.RegsL2 else ()

    def _note(self) -> None:
        """Append the cost."""
        cost = 0.5 * self._damp * squared_norm(self.y - self.forward(self.x))
        for R, eps, target in zip(self.RegsL2, self._eps2, self._split_L2(), strict=True):
            cost = cost + 0.5 * eps * squared_norm(target - self._regularise(R, self.x))
        for R, eps in zip(self.RegsL1, self._eps1, strict=True):
            size = penalty("soft", self._complex(self._regularise(R, self.x), R.shape[0]))
            cost = cost + eps * eps * (size if isinstance(self.ynorm, Tensor) else size.item())
        self.cost.append(cost)

    def _accuracy(self) -> Any:
        """Return the gradient relative to that of ``x = 0`` or the change of ``d``, relative too, whichever is more."""
        with torch.no_grad():
            start = self._damp * self.adjoint(self.y)
            gradient = self._damp * self.adjoint(self.forward(self.x))
            for R, eps, target in zip(self.RegsL2, self._eps2, self._split_L2(), strict=True):
                start = start + eps * self._regularise_adjoint(R, target)
                gradient = gradient + eps * self._regularise_adjoint(R, self._regularise(R, self.x))
            gradient, change, size = gradient - start, [], []
            for R, eps, b in zip(self.RegsL1, self._eps1, self._split(self.b), strict=True):
                gradient = gradient + eps * self._regularise_adjoint(R, b)
                Rx = self._regularise(R, self.x)
                change.append(Rx - self._real(soft(self._complex(Rx + b, R.shape[0]), eps)))
                size.append(Rx.abs() + b.abs())
            of_d = ratio(norm(torch.cat(change, -1)), norm(torch.cat(size, -1))) if change else 0.0
            return maximum(ratio(norm(gradient), norm(start)), of_d)

    def _option_text(self) -> str:
        return f"{super()._option_text()}\tniter_inner = {self.niter_inner}\ttol = {self.tol}\ttau = {self.tau}"


def _root(value: Any) -> Any:
    return value**0.5
