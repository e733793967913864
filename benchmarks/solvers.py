"""The solvers: batches against loops over PyLops's and SciPy's solvers, one large problem, overheads, derivatives."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pylops
import scipy.sparse.linalg
import torch
from torch import Tensor

import torchlops
from benchmarks.timing import seconds_of
from torchlops.linearoperator import LinearOperator
from torchlops.optimization.krylov import CG, CGLS, GMRES, LSMR, LSQR, MINRES, BiCGSTAB
from torchlops.optimization.solver.batch import Batch
from torchlops.optimization.solver.solver import Solver
from torchlops.utils.wavelets import gaussian, ricker

BATCH = 64
NITER, GTOL = 150, 1e-4
"""Maximum number of iterations, and the norm of the gradient, relative to the first, at which both sides stop."""


@dataclass(frozen=True)
class Problem:
    """A batch of problems with one operator and known solutions.

    Attributes:
        name: Name of the problem.
        dims: Shape of a model.
        target: Target for the speed of a batch relative to a loop over PyLops.
        looped: Number of samples for which loops are timed; their time is proportional to it.
    """

    name: str
    dims: tuple[int, ...]
    target: float
    looped: int

    def operators(self, dtype: str) -> tuple[Any, Any]:
        """Return our operator and PyLops's."""
        if len(self.dims) == 1:
            wavelet = np.asarray(ricker(np.arange(21) * 0.004, f0=20)[0], dtype)
            arguments: dict[str, Any] = {"h": wavelet, "offset": 20}
            names = ("Convolve1D",) * 2
        else:
            line = np.asarray(gaussian(np.arange(5) * 1.0, std=1.5)[0])
            blur = np.outer(line, line)
            arguments = {"h": (blur / blur.sum()).astype(dtype), "offset": (4, 4)}
            names = ("Convolve2D",) * 2
        dims = self.dims if len(self.dims) > 1 else self.dims[0]
        ours, theirs = (
            getattr(library.signalprocessing, name)(dims, dtype=dtype, **arguments)
            for library, name in zip((torchlops, pylops), names, strict=True)
        )
        return ours, theirs

    def model(self, count: int) -> np.ndarray:
        """Return sparse traces, or images made of blocks."""
        generator = np.random.default_rng(0)
        shape = (count, *self.dims)
        if len(self.dims) == 1:
            return np.where(generator.random(shape) < 0.08, generator.standard_normal(shape), 0.0)
        cells = generator.random((count, *(n // 16 for n in self.dims)))
        return cells.repeat(16, axis=-2).repeat(16, axis=-1)


PROBLEMS = (
    Problem("deconvolution, n = 256", (256,), 10.0, 64),
    Problem("deconvolution, n = 1024", (1024,), 5.0, 64),
    Problem("deblurring, 256 x 256", (256, 256), 3.0, 4),
)
QUICK_PROBLEMS = (Problem("deconvolution, n = 64", (64,), 10.0, 2),)
DAMP = 0.1


@dataclass(frozen=True)
class Method:
    """A solver of ours and one of another library, with equivalent options.

    Attributes:
        name: Name of the solver.
        other: The other library, ``"pylops"`` or ``"scipy"``.
        ours: Solves for the flattened data of a batch, and returns the solutions.
        theirs: Solves for the data of one sample.
        close: Allowed difference of the solutions, relative to their norm.
        share: Fraction of the samples that is looped over.
    """

    name: str
    other: str
    ours: Callable[[Any, Tensor], Tensor]
    theirs: Callable[[Any, np.ndarray], np.ndarray]
    close: float
    share: float = 1.0


def _normal(A: Any) -> Any:
    return A.H @ A


def _gradient_tolerance(A: Any, y: np.ndarray) -> float:
    """Return PyLops's absolute tolerance for the squared norm of the gradient that corresponds to ``GTOL``."""
    return float((GTOL * np.linalg.norm(A.rmatvec(y))) ** 2)


def _splitbregman(library: Any, A: Any, y: Any, **more: Any) -> Any:
    D = library.FirstDerivative(A.dims, axis=-1, edge=True, kind="forward", dtype=A.dtype)
    regularizers = [D]
    if len(A.dims) > 1:
        regularizers.append(library.FirstDerivative(A.dims, axis=-2, edge=True, kind="forward", dtype=A.dtype))
    epsilons, outer = [0.2] * len(regularizers), 10 if len(A.dims) == 1 else 3
    function = library.splitbregman if library is torchlops else library.optimization.sparsity.splitbregman
    return function(A, y, regularizers, niter_outer=outer, niter_inner=2, mu=2.0, epsRL1s=epsilons, tol=1e-10, **more)[
        0
    ]


def _fista(library: Any, A: Any, y: Any, **more: Any) -> Any:
    function = library.fista if library is torchlops else library.optimization.sparsity.fista
    return function(A, y, niter=50, eps=0.05, alpha=1.0 / LARGEST, tol=0.0, **more)[0]


LARGEST = 40.0
"""An upper bound of the largest eigenvalue of the normal operators of the problems."""


def _cg_of_pylops(A: Any, y: np.ndarray) -> np.ndarray:
    b = A.rmatvec(y)
    N = A.H @ A + DAMP * pylops.Identity(A.shape[1], dtype=A.dtype)
    tolerance = float((GTOL * np.linalg.norm(b)) ** 2)
    return pylops.optimization.basic.cg(N, b, np.zeros_like(b), niter=NITER, tol=tolerance)[0]


def _cg_of_scipy(A: Any, y: np.ndarray) -> np.ndarray:
    N = A.H @ A + DAMP * pylops.Identity(A.shape[1], dtype=A.dtype)
    return scipy.sparse.linalg.cg(N, A.rmatvec(y), rtol=GTOL, atol=0, maxiter=NITER)[0]


def _our_cg(A: Any, y: Tensor) -> Tensor:
    x: Tensor = torchlops.cg(_normal(A), A.H(y), niter=NITER, damp=DAMP, tol=0.0, rtol1=GTOL).x
    return x


def _our_cgls(A: Any, y: Tensor) -> Tensor:
    x: Tensor = torchlops.cgls(A, y, niter=NITER, damp=DAMP**0.5, tol=0.0, gtol=GTOL).x
    return x


def _cgls_of_pylops(A: Any, y: np.ndarray) -> np.ndarray:
    zero = np.zeros(A.shape[1], y.dtype)
    tolerance = _gradient_tolerance(A, y)
    return pylops.optimization.basic.cgls(A, y, zero, niter=NITER, damp=DAMP**0.5, tol=tolerance)[0]


TIGHT = {"atol": 1e-4, "btol": 1e-4}


def _our_lsqr(A: Any, y: Tensor) -> Tensor:
    x: Tensor = torchlops.lsqr(A, y, niter=NITER, damp=DAMP**0.5, calc_var=False, **TIGHT)[0]
    return x


def _lsqr_of_scipy(A: Any, y: np.ndarray) -> np.ndarray:
    return scipy.sparse.linalg.lsqr(A, y, damp=DAMP**0.5, iter_lim=NITER, **TIGHT)[0]


def _our_lsmr(A: Any, y: Tensor) -> Tensor:
    x: Tensor = torchlops.lsmr(A, y, niter=NITER, damp=DAMP**0.5, **TIGHT)[0]
    return x


def _lsmr_of_scipy(A: Any, y: np.ndarray) -> np.ndarray:
    return scipy.sparse.linalg.lsmr(A, y, damp=DAMP**0.5, maxiter=NITER, **TIGHT)[0]


FIXED = 40
"""Number of LSQR iterations in the comparison with PyLops, whose ``atol`` has another meaning (see ``lsqr``)."""


def _lsqr_by_count(library: Any, A: Any, y: Any, **more: Any) -> Any:
    function = library.lsqr if library is torchlops else library.optimization.basic.lsqr
    options = {"atol": 0.0, "btol": 0.0, "conlim": 0.0, "calc_var": False}
    return function(A, y, niter=FIXED, damp=DAMP**0.5, **options, **more)[0]


METHODS = (
    Method("cg", "pylops", _our_cg, _cg_of_pylops, 2e-3),
    Method("cgls", "pylops", _our_cgls, _cgls_of_pylops, 2e-3),
    Method(
        f"lsqr, {FIXED} iterations",
        "pylops",
        lambda A, y: _lsqr_by_count(torchlops, A, y),
        lambda A, y: _lsqr_by_count(pylops, A, y, x0=np.zeros(A.shape[1], y.dtype)),
        2e-3,
    ),
    Method(
        "fista, 50 iterations",
        "pylops",
        lambda A, y: _fista(torchlops, A, y),
        lambda A, y: _fista(pylops, A, y),
        2e-3,
    ),
    Method(
        "splitbregman",
        "pylops",
        lambda A, y: _splitbregman(torchlops, A, y, niter=10),
        lambda A, y: _splitbregman(pylops, A, y, iter_lim=10),
        5e-2,  # PyLops solves by LSQR, ours by CGLS, and both stop early
        share=0.125,
    ),
    Method("cg", "scipy", _our_cg, _cg_of_scipy, 2e-3),
    Method("lsqr", "scipy", _our_lsqr, _lsqr_of_scipy, 2e-2),
    Method("lsmr", "scipy", _our_lsmr, _lsmr_of_scipy, 2e-2),
)


def batches(quick: bool, problems: Sequence[Problem] = PROBLEMS, note: str = "") -> Iterator[dict[str, Any]]:
    """Yield the seconds of a batch and of a loop over its samples, for each problem, dtype and method."""
    for problem in QUICK_PROBLEMS if quick else problems:
        for dtype in ("float64",) if quick else ("float32", "float64"):
            A, theirs = problem.operators(dtype)
            data = A(torch.from_numpy(problem.model(BATCH).astype(dtype))).flatten(1)
            data += 0.01 * data.std() * torch.from_numpy(np.random.default_rng(1).standard_normal(data.shape)).to(data)
            for method in METHODS:
                record = _compare(problem, dtype, method, A, theirs, data)
                yield {**record, "problem": problem.name + note}


def _compare(problem: Problem, dtype: str, method: Method, A: Any, theirs: Any, data: Tensor) -> dict[str, Any]:
    count = max(1, round(problem.looped * method.share))
    samples = list(data[:count].numpy())
    with torch.no_grad():
        method.ours(A, data[:2])
        found = method.ours(A, data)
        here = min(seconds_of(lambda: method.ours(A, data)) for _ in range(3 if found.numel() < 1e6 else 1))
    start = time.perf_counter()
    loop = [np.asarray(method.theirs(theirs, y)).reshape(-1) for y in samples]
    there = (time.perf_counter() - start) * BATCH / count
    reference = torch.from_numpy(np.stack(loop)).to(found)
    difference = float((found.reshape(BATCH, -1)[:count] - reference).norm() / reference.norm())
    return {
        "problem": problem.name,
        "dtype": dtype,
        "solver": method.name,
        "other": method.other,
        "target": problem.target,
        "ours": here,
        "theirs": there,
        "difference": difference,
        "wrong": difference > method.close,
    }


# -- one large problem -------------------------------------------------------------------------------------------


def large(quick: bool) -> Iterator[dict[str, Any]]:
    """Yield the seconds of one large problem, ours and PyLops's."""
    problems = (
        [Problem("deconvolution, n = 4096", (4096,), 1.5, 1)]
        if quick
        else [
            Problem("deconvolution, n = 2^20", (2**20,), 1.5, 1),
            Problem("deblurring, 1024 x 1024", (1024, 1024), 1.5, 1),
        ]
    )
    methods = [method for method in METHODS if method.other == "pylops"][: 1 if quick else 4]
    for problem in problems:
        for dtype in ("float64",) if quick else ("float32", "float64"):
            A, theirs = problem.operators(dtype)
            y = A(torch.from_numpy(problem.model(1)[0].astype(dtype))).flatten()
            for method in methods:
                solve = functools.partial(method.ours, A, y)
                with torch.no_grad():
                    found = solve()
                    here = min(seconds_of(solve) for _ in range(2))
                start = time.perf_counter()
                reference = torch.from_numpy(np.asarray(method.theirs(theirs, y.numpy()))).reshape(-1)
                there = time.perf_counter() - start
                difference = float((found - reference.to(found)).norm() / reference.norm())
                yield {
                    "problem": problem.name,
                    "dtype": dtype,
                    "solver": method.name,
                    "ours": here,
                    "theirs": there,
                    "difference": difference,
                    "wrong": difference > method.close,
                }


# -- overheads ---------------------------------------------------------------------------------------------------


class Free(LinearOperator):
    """An operator without cost: it returns a stored result."""

    def __init__(self, dims: tuple[int, ...], out: Tensor, back: Tensor) -> None:
        super().__init__(dims, dims, out.dtype, name="Free")
        self.out, self.back = out, back

    def apply_nd(self, x: Tensor, adjoint: bool) -> Tensor:  # noqa: ARG002
        return self.back if adjoint else self.out


VECTOR_WORK: dict[type[Solver[Any]], tuple[int, int, int, int]] = {
    CG: (3, 0, 1, 1), CGLS: (3, 0, 3, 0), LSQR: (4, 3, 4, 0), LSMR: (5, 2, 3, 0), MINRES: (5, 3, 1, 1),
    BiCGSTAB: (6, 0, 4, 3), GMRES: (0, 1, 1, 0),
}  # fmt: skip
"""Per iteration: sums of two vectors, scalings, norms, inner products (for GMRES, without those with the basis)."""


def overheads(quick: bool) -> Iterator[dict[str, Any]]:
    """Yield the microseconds of an iteration without the operator, and of its vector work written by hand."""
    rounds, count = (1, 5) if quick else (15, 60)
    for batch in ((), (BATCH,)):
        for kind, work in VECTOR_WORK.items():
            samples = torch.randn(*batch, 256, dtype=torch.float64)
            solver, operator = kind(), Free((256,), samples.clone(), samples.flip(-1))
            times, bare = [], []
            with torch.no_grad():
                for _ in range(rounds):
                    problem = solver.problem(operator, samples, None, 0.0)
                    state = Batch(solver, problem)
                    times.append(seconds_of(lambda s=state: [s.step() for _ in range(count)]) / count)
                    loop = _vector_work(samples, work, kind is GMRES)
                    bare.append(seconds_of(lambda f=loop: [f() for _ in range(count)]) / count)
            yield {"solver": kind.__name__, "batch": batch, "iteration": min(times), "vectors": min(bare)}


def _vector_work(samples: Tensor, work: tuple[int, int, int, int], with_basis: bool) -> Callable[[], None]:
    sums, scalings, norms, products = work
    p, q = samples.clone(), samples.clone()
    number = samples.new_ones((*samples.shape[:-1], 1))
    basis = samples.unsqueeze(-2).repeat(*(1,) * (samples.ndim - 1), 15, 1)  # on average, half of a cycle

    def run() -> None:
        for _ in range(sums):
            p.add_(q, alpha=0.5) if p.ndim == 1 else p.addcmul_(q, number)
        for _ in range(scalings):
            p.mul_(0.5) if p.ndim == 1 else p.mul_(number)
        for _ in range(norms):
            torch.linalg.vector_norm(p, dim=-1, keepdim=True)
        for _ in range(products):
            torch.linalg.vecdot(p, q)
        if with_basis:
            for _ in range(2):
                column = basis @ q.unsqueeze(-1)
                torch.sub(q, (basis.mT @ column).squeeze(-1))

    return run


# -- derivatives -------------------------------------------------------------------------------------------------


def derivatives(quick: bool) -> Iterator[dict[str, Any]]:
    """Yield the seconds of a solution and of its implicit derivative, and the memory kept for either derivative."""
    problem = QUICK_PROBLEMS[0] if quick else PROBLEMS[1]
    A, _ = problem.operators("float64")
    data = A(torch.from_numpy(problem.model(BATCH)))
    for name, function in {"cgls": torchlops.cgls, "lsqr": torchlops.lsqr, "cg": torchlops.cg}.items():
        B, rhs = (_normal(A) + DAMP * torchlops.Identity(problem.dims), A.H(data)) if name == "cg" else (A, data)
        options: dict[str, Any] = {"niter": 400} if quick else {"niter": 2000}
        options |= {
            "cgls": {"damp": DAMP**0.5, "tol": 0.0, "gtol": 1e-8},
            "lsqr": {"damp": DAMP**0.5, "atol": 1e-8, "btol": 0.0, "conlim": 0.0, "calc_var": False},
            "cg": {"tol": 0.0, "rtol1": 1e-8},
        }[name]
        y = rhs.clone().requires_grad_()
        weights = rhs.flip(0)
        forward, backward = [], []
        for _ in range(1 if quick else 5):
            start = time.perf_counter()
            x = function(B, y, **options)[0]
            middle = time.perf_counter()
            torch.autograd.grad(x, y, weights)
            forward.append(middle - start)
            backward.append(time.perf_counter() - middle)
        yield {
            "solver": name,
            "forward": min(forward),
            "backward": min(backward),
            "kept": {niter: _kept(function, B, y, niter) for niter in ((2, 4) if quick else (25, 100, 400))},
        }


def _kept(function: Any, A: Any, y: Tensor, niter: int) -> dict[str, int]:
    """Return the bytes that autograd keeps for the derivative of ``niter`` iterations, by kind of derivative."""
    found = {}
    never = {"tol": 0.0} if function is not torchlops.lsqr else {"atol": 0.0, "btol": 0.0, "conlim": 0.0}
    for way in ("implicit", "unroll"):
        storages: dict[int, int] = {}

        def keep(tensor: Tensor, seen: dict[int, int] = storages) -> Tensor:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alive = function(A, y, niter=niter, grad=way, compact=False, **never)
        found[way] = sum(storages.values())
        del alive
    return found


def images(quick: bool) -> list[dict[str, Any]]:
    """Return the measurements of the batch of images, for a process that reuses its memory."""
    return list(batches(quick, PROBLEMS[-1:], ", memory reused"))


def measure(quick: bool) -> dict[str, Any]:
    """Return all measurements of the solvers."""
    return {
        "batches": list(batches(quick)),
        "large": list(large(quick)),
        "overheads": list(overheads(quick)),
        "derivatives": list(derivatives(quick)),
    }
