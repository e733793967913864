"""Iteratively reweighted least squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchlops.optimization._innersolver import least_squares, read_inner_options
from torchlops.optimization._sparsesolver import SparseSolver
from torchlops.optimization.solver.vectors import norm


class _IRLSResult(NamedTuple):
    x: Any
    nouter: int


class IRLSResult(_IRLSResult):
    """The result of IRLS, which unpacks as PyLops's.

    Attributes:
        x: The solution.
        nouter: Number of outer iterations (of the slowest sample).
        cost: Norm of the residual after each of them, ``(nouter + 1, *batch)``.
        status, iters, converged: As in :class:`~torchlops.optimization.cls_cg.CGResult`.
    """


class IRLS(SparseSolver):
    r"""Iteratively reweighted least squares.

    ``kind="data"``: a misfit that outliers hardly touch, :math:`\min_x \|y - A x\|_1`, by

    .. math:: x \leftarrow \arg\min_x \|W^{1/2} (y - A x)\|^2 + \epsilon_I^2 \|x\|^2, \quad
        W_i = 1 / (|r_i| + \epsilon_R)

    (or :math:`1 / \max(|r_i|, \epsilon_R)` with ``threshR``), scaled so that the largest weight is 1.
    ``kind="model"``: a sparse model, :math:`\min_x \|x\|_1` for :math:`y = A x`, by

    .. math:: x \leftarrow R A^H (A R A^H + \epsilon_I^2)^{-1} y, \quad R_j = |x_j| / \max |x|.

    It is computed as :math:`R^{1/2} z`, where :math:`z` is the damped least-squares solution for
    :math:`A R^{1/2}`, which does not square the condition number. ``kind="datamodel"``: both, which is
    ``data`` on the rows of :math:`A` and :math:`\epsilon_I I`.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments. There is no implicit derivative: take
    ``grad="unroll"``, or ``grad=None``.

    Source: J. A. Scales and A. Gersztenkorn, Robust methods in inverse theory, Inverse Problems 4 (1988), 1071-1091.
    R. Chartrand and W. Yin, Iteratively reweighted algorithms for compressive sensing, ICASSP 2008.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.ones(5, 1, dtype=torch.float64))
        >>> IRLS(A).solve(torch.tensor([1.0, 1.1, 0.9, 50.0, 1.0], dtype=torch.float64), nouter=50).x
        tensor([1.0000], dtype=torch.float64)
    """

    weight_name = "epsI"
    vectors = ("r", "dx", "guess", "shifted")
    scalars = ("update",)

    def setup(
        self,
        y: Any,
        nouter: int | None = None,
        threshR: bool = False,
        epsR: float = 1e-10,
        epsI: Any = 1e-10,
        tolIRLS: float = 1e-10,
        warm: bool = False,
        kind: str = "data",
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        *,
        x0: Any = None,
        engine: str = "scipy",
        **kwargs_solver: Any,
    ) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in :meth:`solve`."""
        if kind not in ("data", "model", "datamodel"):
            raise ValueError(f"{type(self).__name__}: kind must be data, model or datamodel, got {kind!r}")
        self.threshR, self.epsR, self.tolIRLS, self.warm, self.kind = threshR, epsR, tolIRLS, warm, kind
        self.inner = read_inner_options(type(self).__name__, engine, kwargs_solver, 2 * max(self.Op.shape))
        return self._setup(y, x0, epsI, nouter, show)

    def solve(
        self,
        y: Any,
        x0: Any = None,
        nouter: int = 10,
        threshR: bool = False,
        epsR: float = 1e-10,
        epsI: Any = 1e-10,
        tolIRLS: float = 1e-10,
        kind: str = "data",
        warm: bool = False,
        engine: str = "scipy",
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        itershow: Sequence[int] = (10, 10, 10),
        **kwargs_solver: Any,
    ) -> IRLSResult:
        """Solve the problem.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            x0: Initial guess; zero by default. The change from it is what is solved for.
            nouter: Most outer iterations.
            threshR: Which weights, see above.
            epsR: Smallest residual that weights tell apart.
            epsI: Damping: a number, or one for each sample.
            tolIRLS: Stop a sample when the norm of a change of ``x`` is below it.
            kind: ``data``, ``model`` or ``datamodel``.
            warm: Whether inner solves start from the last ``x`` (not for ``model``).
            engine: Accepted and ignored: inner solves are conjugate gradients.
            preallocate: Accepted and ignored.
            show: Whether to print a table.
            itershow: Which lines of it: the first, the last, and every so many between.
            **kwargs_solver: ``niter`` (or ``iter_lim``) and ``rtol`` (of the gradient) of the inner solves.
        """
        self._refuse_implicit(y, epsI, (), "")
        result: IRLSResult = self._solve(
            y, x0, show, itershow, damp=epsI, nouter=nouter, threshR=threshR, epsR=epsR, tolIRLS=tolIRLS, kind=kind,
            warm=warm, engine=engine, **kwargs_solver,
        )  # fmt: skip
        return result

    def _start(self) -> None:
        self.guess = self.x
        self.shifted = self.y - self.forward(self.x) if self.has_guess else self.y
        self.dx = torch.zeros_like(self.x)
        if self.kind == "datamodel":
            self.shifted = torch.cat([self.shifted, torch.zeros_like(self.x)], -1)
        self.r = self.shifted
        self.update = self.ynorm * 0 + 1
        self.cost.append(norm(self.r))

    def _iterate(self) -> None:
        of_model = self.kind == "model"
        weights = None if self.iiter == 1 else self._weights(self.dx if of_model else self.r, of_model)
        dx = self._solve_model(weights) if of_model else self._solve_data(weights)
        update = norm(dx - self.dx)
        if isinstance(self.active, Tensor):
            dx = torch.where(self.active, dx, self.dx)
            update = torch.where(self.active, update, self.update)
        self.dx, self.update = dx, update
        self.x = self.guess + dx
        self.r = self.shifted - self._forward(dx)
        self.cost.append(norm(self.r))
        self.active = self.active & (update >= self.tolIRLS)

    def _forward(self, x: Tensor) -> Tensor:
        y = self.forward(x)
        return torch.cat([y, self._damp * x], -1) if self.kind == "datamodel" else y

    def _adjoint(self, y: Tensor) -> Tensor:
        if self.kind != "datamodel":
            return self.adjoint(y)
        size = self.x.shape[-1]
        rows = y.shape[-1] - size
        x: Tensor = self.adjoint(y.narrow(-1, 0, rows)) + self._damp * y.narrow(-1, rows, size)
        return x

    def _weights(self, v: Tensor, of_model: bool) -> Tensor:
        """Return the square roots of the weights."""
        size = self._modulus(v, self._model_dtype.is_complex if of_model else self._data_dtype.is_complex)
        weights = size if of_model else 1 / (size.clamp(min=self.epsR) if self.threshR else size + self.epsR)
        largest = weights.amax(-1, keepdim=True)
        weights = weights / torch.where(largest > 0, largest, 1.0)
        positive = weights > 0
        return torch.where(positive, torch.where(positive, weights, 1.0).sqrt(), 0.0)

    @staticmethod
    def _modulus(v: Tensor, is_complex: bool) -> Tensor:
        if not is_complex:
            return v.abs()
        pairs = v.reshape(*v.shape[:-1], v.shape[-1] // 2, 2)
        square = (pairs * pairs).sum(-1)
        positive = square > 0
        size = torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)
        return size.repeat_interleave(2, -1)

    def _solve_data(self, root: Tensor | None) -> Tensor:
        def forward(x: Tensor) -> Tensor:
            return self._forward(x) if root is None else root * self._forward(x)

        def adjoint(y: Tensor) -> Tensor:
            return self._adjoint(y if root is None else root * y)

        y = self.shifted if root is None else root * self.shifted
        damp = 0.0 if self.kind == "datamodel" else self._damp
        return least_squares(forward, adjoint, y, self.dx if self.warm else None, self.x, damp, **self.inner)

    def _solve_model(self, root: Tensor | None) -> Tensor:
        def forward(z: Tensor) -> Tensor:
            return self.forward(z if root is None else root * z)

        def adjoint(y: Tensor) -> Tensor:
            return self.adjoint(y) if root is None else root * self.adjoint(y)

        z = least_squares(forward, adjoint, self.shifted, None, self.x, self._damp, **self.inner)
        return z if root is None else root * z

    def _columns(self) -> dict[str, Any]:
        return {"r2norm": self.cost[-1], "xupdate": self.update}

    def _option_text(self) -> str:
        return f"{super()._option_text()}\tkind = {self.kind}\tthreshR = {self.threshR}\tepsR = {self.epsR}"

    def _result(self, x: Any) -> IRLSResult:
        result: Any = IRLSResult(x, self.iiter)
        result.cost = self.cost
        report: IRLSResult = self._report(result)
        return report
