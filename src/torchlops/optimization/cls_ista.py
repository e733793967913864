"""Iterative shrinkage and thresholding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchlops.optimization import _activeset  # noqa: F401  (it makes the equation of the lasso known)
from torchlops.optimization._sparsesolver import SparseResult, SparseSolver, as_numbers
from torchlops.optimization._thresholds import KINDS, THRESHOLDS, penalty, percentile
from torchlops.optimization.basesolver import Status
from torchlops.optimization.solver.vectors import Scalar, keep, norm, ratio, squared_norm, where, xpay
from torchlops.optimization.spectral.lanczos import largest_eigenvalue


class ISTA(SparseSolver):
    r"""Iterative shrinkage-thresholding.

    .. math:: \min_x J(x), \qquad J(x) = \|y - A x\|^2 + \epsilon \|x\|_p^p,

    with :math:`p = 1` for soft thresholding, :math:`1/2` for half and 0 (the number of nonzeros) for hard. With a
    synthesis operator ``SOp`` (:math:`S`), :math:`x = S c` and the penalty is that of :math:`c`; the solution is
    :math:`x`. An iteration, with the step :math:`\alpha`, is

    .. math:: x \leftarrow \mathrm{prox}(x + \alpha A^H (y - A x)),

    where the proximal operator is that of :math:`\alpha \epsilon / 2 \, \|x\|_p^p`. ``cost`` is :math:`J`; with the
    percentile variants, which have no weight, only :math:`\|y - A x\|^2`.

    See :class:`~torchlops.optimization.basesolver.Solver` for the arguments. Solutions are those of PyLops, apart
    from three errors of PyLops 2.8: the cost that it prints is another than its threshold minimises (half the misfit
    plus all of the penalty, always that of :math:`p = 1`, at two different models); half thresholding takes half of
    ``eps``; and an ``SOp`` that is not orthonormal changes the problem. Also, the residual of a batch is not shared
    between its samples, which have a step, a threshold and an end each.

    With ``grad="implicit"`` (soft thresholding) derivatives are those of the solution on its support, with respect
    to the data, ``eps`` and the operators. They exist where no :math:`|A^H (y - A x)|` off the support reaches
    :math:`\epsilon / 2`. The step has no influence there; one that is given
    may learn with ``grad="unroll"``, where the automatic one is a constant.

    Source: I. Daubechies, M. Defrise and C. De Mol, An iterative thresholding algorithm for linear inverse problems
    with a sparsity constraint, Comm. Pure Appl. Math. 57 (2004), 1413-1457.

    Example:
        >>> import torch, torchlops
        >>> x, iiter, cost = ISTA(torchlops.Identity(3)).solve(torch.tensor([2.0, 0.1, -1.0]), niter=20, eps=0.4)
        >>> x
        tensor([ 1.8000,  0.0000, -0.8000])
    """

    equation = "lasso"
    weight_name = "eps"
    has_first_cost = False
    vectors: ClassVar[tuple[str, ...]] = ("Ax",)
    scalars: ClassVar[tuple[str, ...]] = ("alpha_each", "update", "first", "rnorm", "violation", "gradient")
    _columns_of_residual = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._Op_alone = self.Op
        self.SOp: Any = None

    def setup(
        self,
        y: Any,
        x0: Any = None,
        niter: int | None = None,
        SOp: Any = None,
        eps: Any = 0.1,
        alpha: Any = None,
        eigsdict: dict[str, Any] | None = None,
        tol: float = 1e-10,
        threshkind: str = "soft",
        perc: float | None = None,
        decay: Any = None,
        monitorres: bool = False,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        *,
        rtol: float = 0.0,
        rtol1: float = 0.0,
    ) -> Any:
        """Read the data, start, and return the first ``x``; arguments as in :meth:`solve`."""
        self._check(threshkind, perc, decay, niter)
        if SOp is not None:
            x0 = self._compose(SOp, x0)
        self.alpha, self.eigsdict = alpha, dict(eigsdict or {})
        self.tol, self.rtol, self.rtol1 = tol, rtol, rtol1
        self.threshkind, self.perc, self.decay, self.monitorres = threshkind, perc, decay, monitorres
        self._kind = threshkind.removesuffix("-percentile")
        return self._setup(y, x0, eps, niter, show)

    def solve(
        self,
        y: Any,
        x0: Any = None,
        niter: int = 10,
        SOp: Any = None,
        eps: Any = 0.1,
        alpha: Any = None,
        eigsdict: dict[str, Any] | None = None,
        tol: float = 1e-10,
        threshkind: str = "soft",
        perc: float | None = None,
        decay: Any = None,
        monitorres: bool = False,
        preallocate: bool = False,  # noqa: ARG002
        show: bool = False,
        itershow: Sequence[int] = (10, 10, 10),
        *,
        rtol: float = 0.0,
        rtol1: float = 0.0,
    ) -> SparseResult:
        """Solve the problem.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            x0: Initial guess; zero by default.
            niter: Most iterations.
            SOp: Synthesis operator: the model is ``SOp`` of sparse coefficients.
            eps: Weight of the penalty: a number, or one for each sample.
            alpha: Step: a number, or one for each sample. By default one over the largest eigenvalue of ``A^H A``,
                which a Lanczos process bounds.
            eigsdict: ``niter`` and ``tol`` of that process; other entries, which are for SciPy, are ignored.
            tol: Stop a sample when the norm of a change of ``x`` is not above it.
            threshkind: ``soft``, ``hard``, ``half``, or one of these with ``-percentile``.
            perc: How many percent of the samples survive each iteration, for the percentile variants.
            decay: Factors of the threshold, one for each iteration.
            monitorres: Whether an increase of the residual stops a sample, with the status ``BREAKDOWN``.
            preallocate: Accepted and ignored.
            show: Whether to print a table.
            itershow: Which lines of it: the first, the last, and every so many between.
            rtol: Stop a sample when its cost is below this times the first.
            rtol1: The same, relative to the norm of the data.
        """
        self._check(threshkind, perc, decay, niter)
        self._decompose()
        if SOp is not None:
            x0 = self._compose(SOp, x0)
        if threshkind != "soft" or decay is not None:
            self._refuse_implicit(
                y, eps, (), f" with threshkind={threshkind!r}" + (" and a decay" * (decay is not None))
            )
        how: dict[str, Any] = {
            "niter": niter, "alpha": alpha, "eigsdict": eigsdict, "tol": tol, "threshkind": threshkind, "perc": perc,
            "decay": decay, "monitorres": monitorres, "rtol": rtol, "rtol1": rtol1,
        }  # fmt: skip
        result: SparseResult = self._solve(y, x0, show, itershow, damp=eps, **how)
        if self.SOp is not None and self.grad != "unroll" and result.x is not self._public:
            result = self._result(self.SOp(result.x))  # with derivatives, the solver gave the coefficients
        return result

    # -- the synthesis operator: the solver works on its coefficients ----------------------------------------------

    def _compose(self, SOp: Any, x0: Any) -> Any:
        from torchlops.torchoperator import aslinearoperator

        self.SOp = aslinearoperator(SOp)
        self.Op = self._Op_alone @ self.SOp
        return None if x0 is None else self.SOp.H(x0)

    def _decompose(self) -> None:
        self.Op, self.SOp = self._Op_alone, None

    def _shown(self) -> Any:
        x = super()._shown()
        return x if self.SOp is None else self.SOp(x)

    def _adopt(self, x: Any) -> None:
        super()._adopt(x if self.SOp is None or x is self._public or x is None else self.SOp.H(x))

    def _copy_for(self, Op: Any, M: Any) -> Any:
        other = super()._copy_for(Op, M)
        other._Op_alone, other.SOp = Op, None
        return other

    # -- the iteration ---------------------------------------------------------------------------------------------

    def _check(self, threshkind: str, perc: float | None, decay: Any, niter: int | None) -> None:
        name = type(self).__name__
        if threshkind not in KINDS:
            raise ValueError(f"{name}: threshkind must be one of {', '.join(KINDS)}, got {threshkind!r}")
        if (perc is not None) != threshkind.endswith("-percentile"):
            raise ValueError(f"{name}: perc goes with a percentile threshold, got threshkind={threshkind!r}, {perc=}")
        if decay is not None and niter is not None and len(decay) < niter:
            raise ValueError(f"{name}: decay must have one factor for each of {niter} iterations, got {len(decay)}")

    def _start(self) -> None:
        if self.decay is not None:
            self.decay = as_numbers(self.decay, "decay", self.y)
        alpha = self.alpha
        if alpha is None:
            known = {name: self.eigsdict[name] for name in ("niter", "tol") if name in self.eigsdict}
            model = self._as_array(self.x, self.Op.dims, self._model_dtype).detach()
            bound = largest_eigenvalue(self.Op, model, **known)
            alpha = torch.where(bound > 0, 1 / torch.where(bound > 0, bound, 1.0), 0.0).squeeze(-1)
        self.alpha_each = self._of_each_sample(alpha, "alpha")
        if self.alpha is None:
            self.alpha = self._number(self.alpha_each)
        self.Ax = self.forward(self.x) if self.has_guess else torch.zeros_like(self.y)
        self._point = self.x, self.Ax
        self.rnorm = norm(self.y - self.Ax)
        self.update = self.violation = self.ynorm * 0 + 1
        with torch.no_grad():
            self.gradient = norm(self.adjoint(self.y))
        self._note(self.x, self.Ax)
        self.first = self.cost[0]

    def _iterate(self) -> None:
        self._descend(self.x, self.Ax)

    def _descend(self, z: Tensor, Az: Tensor) -> tuple[Tensor, Tensor]:
        """Go to ``prox(z + alpha A^H (y - A z))``, and return by how much ``x`` and ``A x`` have changed."""
        r = self.y - Az
        if self.monitorres:
            rnorm = norm(r)
            self._stop(rnorm > self.rnorm * (1 + 1e-12), Status.BREAKDOWN)
            self.rnorm = rnorm
        x = self._threshold(xpay(z, self.alpha_each, self.adjoint(r)))
        Ax = self.forward(x)
        change, of_data = x - self.x, Ax - self.Ax
        update = norm(change)
        with torch.no_grad():
            violation = update if z is self.x else norm(x - z)
        x, Ax = keep(self.active, x, self.x), keep(self.active, Ax, self.Ax)
        self.violation = where(self.active, violation, self.violation)
        self.update = torch.where(self.active, update, self.update) if isinstance(update, Tensor) else update
        self.x, self.Ax = x, Ax
        self._note(x, Ax)
        if self.iiter == 1:
            self.first = self.cost[-1]
        self._stop_small(self.tol, self.rtol, self.rtol1)
        return change, of_data

    def _accuracy(self) -> Scalar:
        """Return ``|x - z| / alpha`` relative to ``|A^H y|``, which bounds how far ``x`` is from a fixed point.

        It does as long as the step is not too long, since the iteration then brings no two points further apart.
        """
        return ratio(ratio(self.violation, self.alpha_each), self.gradient)

    def _threshold(self, z: Tensor) -> Tensor:
        z = self._complex(z)
        if self.perc is not None:
            return self._real(percentile(self._kind, z, self.perc))
        tau = 0.5 * self._damp * self.alpha_each
        if self.decay is not None:
            tau = tau * self.decay[self.iiter - 1]
            tau = tau.item() if not isinstance(self._damp, Tensor) and not self.batch and not tau.requires_grad else tau
        return self._real(THRESHOLDS[self._kind](z, tau))

    def _note(self, x: Tensor, Ax: Tensor) -> None:
        """Append the cost."""
        misfit = squared_norm(self.y - Ax)
        if self.perc is not None:
            self.cost.append(misfit)
            return
        size = penalty(self._kind, self._complex(x))
        self.cost.append(misfit + self._damp * (size if isinstance(misfit, Tensor) else size.item()))

    def _option_text(self) -> str:
        kind = self.threshkind if self.perc is None else f"{self.threshkind} {self.perc}"
        return f"{super()._option_text()}\talpha = {self._text(self.alpha_each)}\tthreshkind = {kind}\ttol = {self.tol}"


class FISTA(ISTA):
    r"""Fast iterative shrinkage-thresholding: :class:`ISTA` with momentum.

    .. math::
        x_k = \mathrm{prox}(z_k + \alpha A^H (y - A z_k)), \quad
        t_{k+1} = \tfrac{1}{2} (1 + \sqrt{1 + 4 t_k^2}), \quad
        z_{k+1} = x_k + \frac{t_k - 1}{t_{k+1}} (x_k - x_{k-1}).

    The problem, the arguments, the derivatives and the differences from PyLops are those of :class:`ISTA`. The cost
    needs no further application of the operator.

    Source: A. Beck and M. Teboulle, A fast iterative shrinkage-thresholding algorithm for linear inverse problems,
    SIAM J. Imaging Sciences 2 (2009), 183-202.

    Example:
        >>> import torch, torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5]]))
        >>> FISTA(A).solve(torch.tensor([[0.5, 1.0], [0.0, 0.0]]), niter=200, eps=0.2).x
        tensor([[0.0000, 0.9200, 0.0000],
                [0.0000, 0.0000, 0.0000]])
    """

    vectors = ("Ax", "z", "Az")

    def _start(self) -> None:
        super()._start()
        self.z, self.Az = self.x, self.Ax
        self._times = [1.0]

    def _iterate(self) -> None:
        change, of_data = self._descend(self.z, self.Az)
        times = self._times
        while len(times) <= self.iiter:
            times.append((1 + (1 + 4 * times[-1] ** 2) ** 0.5) / 2)
        momentum = (times[self.iiter - 1] - 1) / times[self.iiter]
        self.z = xpay(self.x, momentum, change)
        self.Az = xpay(self.Ax, momentum, of_data)


__all__ = ["FISTA", "ISTA", "Scalar"]
