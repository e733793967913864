"""Modelling of acoustic waves, and its Born approximation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from torchlops.arrays import Array, DType, as_it_is, promote, torch_dtype
from torchlops.basicoperators._positions import constants, is_readable
from torchlops.linearoperator import LinearOperator
from torchlops.shapes import Dims, as_dims, as_integer, per_axis
from torchlops.signalprocessing._parts import with_parts_as_batch
from torchlops.waveeqprocessing._acoustic import functions
from torchlops.waveeqprocessing._acoustic.functions import Problem
from torchlops.waveeqprocessing._acoustic.grid import SECOND, Grid, check_dispersion, check_stability
from torchlops.waveeqprocessing._acoustic.sampling import check_positions, is_on_nodes, points
from torchlops.waveeqprocessing._wavefields import as_step

Misfit = Callable[[Tensor], Tensor]


class Curvature(NamedTuple):
    """A misfit, its gradient by the velocity, and the product of its Hessian with a direction."""

    value: Tensor
    gradient: Tensor
    product: Tensor


class AcousticModelling(nn.Module):
    r"""Data of the scalar wave equation, as a differentiable function of the velocity and the wavelet.

    .. math:: \frac{1}{v^2} \frac{\partial^2 u}{\partial t^2} = \nabla^2 u + f, \qquad d = R u

    by differences of second order in time and of order ``space_order`` in space, in two or three dimensions (or one),
    with absorbing layers outside of every side, to which the velocities at the border extend. The sample :math:`n` of
    the wavelet is the source, not divided by the volume of a cell, at the time :math:`n \Delta t`, and the sample
    :math:`n` of the data the wavefield at that time. (The data of ``deepwave.scalar`` are minus these.)

    All shots and models of a batch are computed together. In plain eager execution, derivatives in reverse mode are
    those of the adjoint state, from checkpoints whose memory grows as the square root of ``nt``; so are second
    derivatives (``create_graph=True``). In forward mode, under the transforms of ``torch.func`` and under
    ``torch.compile``, every step is differentiated by torch, which suits small grids. All are exact derivatives of the
    discrete data.

    Positions are in nodes of the grid, counted from 0 along each axis. Between nodes, points are represented by
    Kaiser-windowed sinc functions on 8 nodes per axis (Hicks 2002), which are differentiable in the position.

    Args:
        dims: Number of nodes along each axis.
        spacing: Distance of the nodes, one for all axes or one per axis.
        dt: Time step, in a unit such that velocities are in that of ``spacing`` per that of time.
        nt: Number of samples in time.
        sources: Positions ``(shots, ndim)``, or ``(shots, sources, ndim)`` if several fire in a shot. A tensor may
            require a gradient.
        receivers: Positions ``(receivers, ndim)`` of all shots, or ``(shots, receivers, ndim)``. Where a shot has fewer
            receivers than others, -1 along every axis stands for none, whose data are zero.
        max_velocity: The highest velocity to be expected, for which the time step must be stable. The absorbing layers
            are designed for it: it is a constant, which derivatives do not follow.
        frequency: Peak frequency of the wavelet, for which the layers are designed.
        min_velocity: The lowest velocity to be expected, for a warning of numerical dispersion.
        space_order: Order of accuracy in space: 2, 4, 6 or 8.
        pml_width: Number of nodes of the absorbing layers. Ten reflect about 0.005% at order 8, 0.05% at order 4, and
            1% at order 2, for which 20 are better.
        compile: Whether the steps in place are compiled by ``torch.compile``, which is several times faster but takes
            half a minute at first. None: for large problems (from 2e9 updates of nodes in a call), if there is a C++
            compiler.
        name: A name for error messages.

    Raises:
        ValueError: If the time step is not stable, a position is outside the grid, or a number is out of range.

    Sources: Pasalic and McGarry, Convolutional perfectly matched layer for isotropic and anisotropic acoustic wave
    equations, SEG 2010; Hicks, Geophysics 67 (2002); Plessix, A review of the adjoint-state method, Geophys. J. Int.
    167 (2006).

    Example:
        >>> modelling = AcousticModelling((20, 30), 10.0, 0.002, 100, [[2, 5]], [[2, 20], [2, 24.5]],
        ...                               max_velocity=2000.0, frequency=12.0)
        >>> velocity = torch.full((20, 30), 1500.0, requires_grad=True)
        >>> data = modelling(velocity, modelling.ricker())
        >>> data.shape
        torch.Size([1, 2, 100])
        >>> data.square().sum().backward()
        >>> velocity.grad.shape
        torch.Size([20, 30])
    """

    sources: Tensor
    receivers: Tensor

    def __init__(
        self,
        dims: Dims,
        spacing: float | Sequence[float],
        dt: float,
        nt: int,
        sources: Array,
        receivers: Array,
        *,
        max_velocity: float,
        frequency: float,
        min_velocity: float | None = None,
        space_order: int = 4,
        pml_width: int = 10,
        compile: bool | None = None,
        name: str = "A",
    ) -> None:
        super().__init__()
        self.name = name
        self.dims = as_dims(dims)
        ndim = len(self.dims)
        if ndim > 3:
            raise ValueError(f"{self._owner}: dims must have one to three axes, got {self.dims}")
        if space_order not in SECOND:
            raise ValueError(f"{self._owner}: space_order must be 2, 4, 6 or 8, got {space_order!r}")
        steps = tuple(as_step(h, f"{self._owner}: spacing") for h in per_axis(spacing, ndim, f"{self._owner}: spacing"))
        self.nt = as_integer(nt, f"{self._owner}: nt", 1)
        self.grid = Grid(
            self.dims,
            steps,
            as_step(dt, f"{self._owner}: dt"),
            space_order,
            as_integer(pml_width, f"{self._owner}: pml_width", 0),
            as_step(_detached(max_velocity), f"{self._owner}: max_velocity"),
            as_step(frequency, f"{self._owner}: frequency"),
        )
        self.compile_kernels = compile
        check_stability(self._owner, self.grid, self.grid.max_velocity)
        if min_velocity is not None:
            lowest = as_step(_detached(min_velocity), f"{self._owner}: min_velocity")
            check_dispersion(self._owner, self.grid, lowest)
        places = {
            "sources": _positions(sources, "sources", ndim),
            "receivers": _positions(receivers, "receivers", ndim),
        }
        if places["sources"].ndim == 2:
            places["sources"] = places["sources"].unsqueeze(1)
        shots = places["sources"].shape[0]
        if places["receivers"].ndim == 3 and places["receivers"].shape[0] != shots:
            raise ValueError(
                f"{self._owner}: there are sources of {shots} shots, and receivers of {places['receivers'].shape[0]}"
            )
        for name, value in places.items():
            if isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)
        self._check_positions()

    @property
    def _owner(self) -> str:
        return f"{type(self).__name__} '{self.name}'"

    @property
    def dimsd(self) -> tuple[int, int, int]:
        """Shape of the data, ``(shots, receivers, nt)``."""
        return self.sources.shape[0], self.receivers.shape[-2], self.nt

    def ricker(self, dtype: DType = torch.float32) -> Tensor:
        r"""Return a Ricker wavelet of the peak frequency, delayed by its inverse: :math:`(1 - 2 r^2) e^{-r^2}`."""
        t = torch.arange(self.nt, dtype=torch.float64) * self.grid.dt
        r = (math.pi * (self.grid.frequency * t - 1)) ** 2
        return ((1 - 2 * r) * torch.exp(-r)).to(torch_dtype(dtype))

    def extra_repr(self) -> str:
        shots, receivers, nt = self.dimsd
        return f"{self.dims}, spacing={self.grid.spacing}, shots={shots}, receivers={receivers}, nt={nt}"

    # -- modelling -----------------------------------------------------------------------------------------------

    def forward(self, velocity: Tensor, wavelet: Tensor) -> Tensor:
        """Return the data ``(*batch, shots, receivers, nt)``.

        Args:
            velocity: Velocities ``(*batch, *dims)``.
            wavelet: The wavelet ``(nt,)``, one for each shot ``(shots, nt)``, or one for each source
                ``(*batch, shots, sources, nt)``. It is real.

        Raises:
            ValueError: If a shape does not fit, a velocity is not positive, not finite, or too high for the time step,
                or a position has left the grid.
            TypeError: If an argument is not a tensor, or the wavelet is complex.
        """
        survey = self.survey(velocity, wavelet)
        d = functions.data(survey.problem, survey.w, survey.f)
        return survey.weigh(d).movedim(0, -1).to(survey.dtype)

    def hessian_product(self, misfit: Misfit, velocity: Tensor, wavelet: Tensor, direction: Tensor) -> Curvature:
        r"""Return a misfit of the data, its gradient, and its Hessian times a direction, in the time of two gradients.

        The Hessian is the full one, :math:`J^H \phi'' J + (\nabla J)^H \phi'`, by forward over reverse mode: the
        wavefields and their perturbations are propagated together. No graph is kept, and the results carry none.

        Args:
            misfit: A twice differentiable function :math:`\phi` of the data, which gives one number.
            velocity: Velocities ``(*batch, *dims)``.
            wavelet: The wavelet.
            direction: The direction, of the shape of ``velocity``.
        """
        if direction.shape != velocity.shape:
            raise ValueError(
                f"{self._owner}: the direction must have the shape of the velocity, {tuple(velocity.shape)}, got "
                f"{tuple(direction.shape)}"
            )
        with torch.no_grad():
            survey = self.survey(velocity, wavelet)
            v = velocity.to(survey.compute)
            dv = direction.to(survey.compute)
            d, dd, back = functions.with_perturbation(
                survey.problem, survey.w, survey.f, self.padded(2 * self.grid.dt**2 * v * dv)
            )

        def of_data(data: Tensor) -> Tensor:
            return misfit(survey.weigh(data).movedim(0, -1).to(survey.dtype))

        with torch.enable_grad():
            data = d.detach().requires_grad_()
            value = of_data(data)
            (r,) = torch.autograd.grad(value, data, create_graph=True)
            if r.requires_grad:  # its Hessian is symmetric
                (dr,) = torch.autograd.grad(r, data, dd, allow_unused=True, materialize_grads=True)
            else:
                dr = torch.zeros_like(r)
        with torch.no_grad():
            result = back(r.detach(), dr)
            by_w, by_dw = self.folded(result.w), self.folded(result.dw)
            scale = 2 * self.grid.dt**2
            return Curvature(
                value.detach(),
                (scale * v * by_w).sum_to_size(velocity.shape).to(velocity.dtype),
                (scale * (v * by_dw + dv * by_w)).sum_to_size(velocity.shape).to(velocity.dtype),
            )

    def survey(self, velocity: Tensor, wavelet: Tensor) -> Survey:
        """Return the problem that modelling solves, in the terms of the private modules."""
        for what, value in (("velocity", velocity), ("wavelet", wavelet)):
            if not isinstance(value, Tensor):
                raise TypeError(f"{self._owner}: {what} must be a tensor, got {type(value).__name__}: convert it first")
        self._check_velocity(velocity)
        self._check_positions()  # those that learn may have left the grid
        dtype = promote([velocity.dtype, wavelet.dtype])
        compute = torch.promote_types(dtype, torch.float32)
        sources = points(self.sources, self.dims, self.grid.pml_width, is_on_nodes(self.sources))
        receivers = points(self._receivers_of_shots(), self.dims, self.grid.pml_width, is_on_nodes(self.receivers))
        weights = receivers.weights
        is_tracked = weights is not None and weights.requires_grad
        at = receivers.unweighted() if is_tracked else receivers
        problem = Problem(self.grid, sources.unweighted(), at, self.compile_kernels)
        shaped = self._wavelet_of_sources(wavelet)
        models, wavelets = velocity.shape[: -len(self.dims)], shaped.shape[:-3]
        if any(1 != m != n != 1 for m, n in zip(models[::-1], wavelets[::-1], strict=False)):
            raise ValueError(
                f"{self._owner}: the batch axes {tuple(models)} of velocities and {tuple(wavelets)} of wavelets do not "
                "broadcast"
            )
        f = sources.spread_in_time(shaped.to(compute))
        w = self.padded((velocity.to(compute) * self.grid.dt) ** 2)
        weigh, spread = (receivers.weigh, receivers.spread) if is_tracked else (as_it_is, as_it_is)
        return Survey(problem, w, f, weigh, spread, dtype, compute)

    def _receivers_of_shots(self) -> Tensor:
        receivers = self.receivers
        return receivers if receivers.ndim == 3 else receivers.expand(self.sources.shape[0], *receivers.shape)

    def _wavelet_of_sources(self, wavelet: Tensor) -> Tensor:
        if wavelet.is_complex():
            raise TypeError(
                f"{self._owner}: the wavelet must be real, got {wavelet.dtype}: model both parts as a batch"
            )
        shots, count = self.sources.shape[:2]
        shaped = wavelet.unsqueeze(-2) if wavelet.ndim == 2 else wavelet
        ones = (1,) * max(3 - shaped.ndim, 0)
        shaped = shaped.reshape(*ones, *shaped.shape)
        if shaped.shape[-1] != self.nt or shaped.shape[-2] not in (1, count) or shaped.shape[-3] not in (1, shots):
            raise ValueError(
                f"{self._owner}: the wavelet must be of shape ({self.nt},), ({shots}, {self.nt}) or (*batch, {shots}, "
                f"{count}, {self.nt}), got {tuple(wavelet.shape)}"
            )
        return shaped.expand(*shaped.shape[:-3], shots, count, self.nt)

    def _check_positions(self) -> None:
        for name in ("sources", "receivers"):
            places = getattr(self, name)
            check_positions(places, self.dims, f"{self._owner}: {name}", may_be_absent=name == "receivers")

    def _check_velocity(self, velocity: Tensor) -> None:
        ndim = len(self.dims)
        if tuple(velocity.shape[velocity.ndim - ndim :]) != self.dims or not velocity.is_floating_point():
            raise ValueError(
                f"{self._owner}: velocities must be a real tensor (*batch, {', '.join(map(str, self.dims))}), got "
                f"{velocity.dtype} of shape {tuple(velocity.shape)}"
            )
        if velocity.numel() == 0 or not is_readable(velocity):
            return
        lowest, highest = (float(x) for x in velocity.detach().aminmax())
        if not (0 < lowest <= highest < math.inf):  # also if one is NaN
            raise ValueError(
                f"{self._owner}: velocities must be positive and finite, got from {lowest:g} to {highest:g}"
            )
        if highest > self.grid.max_velocity:
            check_stability(self._owner, self.grid, highest)

    # -- the layers ----------------------------------------------------------------------------------------------

    def padded(self, field: Tensor, replicate: bool = True) -> Tensor:
        """Return a field ``(*batch, *dims)`` with the layers, and an axis of shots, ``(*batch, 1, *nodes)``."""
        width = self.grid.pml_width
        field = field.unsqueeze(-len(self.dims) - 1)
        if width:
            for axis in range(-len(self.dims), 0):
                n = field.shape[axis]
                shape = [*field.shape]
                shape[axis] = width
                first, last = field.narrow(axis, 0, 1), field.narrow(axis, n - 1, 1)
                if not replicate:
                    first, last = torch.zeros_like(first), torch.zeros_like(last)
                field = torch.cat((first.expand(shape), field, last.expand(shape)), axis)
        return field

    def folded(self, field: Tensor, replicate: bool = True) -> Tensor:
        """Return the adjoint of :meth:`padded`."""
        width = self.grid.pml_width
        for axis, n in zip(range(-len(self.dims), 0), self.dims, strict=True):
            middle = field.narrow(axis, width, n)
            if width and replicate:
                first, last = field.narrow(axis, 0, width), field.narrow(axis, width + n, width)
                first, last = first.sum(axis, keepdim=True), last.sum(axis, keepdim=True)
                rest = torch.zeros_like(middle).narrow(axis, 0, n - 1)
                middle = middle + torch.cat((first, rest), axis) + torch.cat((rest, last), axis)
            field = middle
        return field.squeeze(-len(self.dims) - 1)


class Survey(NamedTuple):
    """What modelling solves.

    Args:
        problem: The grid and the nodes.
        w: The squared velocities times the squared time step, with the layers.
        f: What is added at the nodes of the sources.
        weigh: Returns the data at receivers from those at their nodes, where this is not part of the problem.
        spread: Its adjoint.
        dtype: The dtype of the data.
        compute: The dtype in which they are computed.
    """

    problem: Problem
    w: Tensor
    f: Tensor
    weigh: Callable[[Tensor], Tensor]
    spread: Callable[[Tensor], Tensor]
    dtype: torch.dtype
    compute: torch.dtype


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _positions(value: Any, what: str, ndim: int) -> Tensor:
    """Return positions as a tensor: one of the user's as it is, others as constants, integers if all are whole."""
    tensor = value if isinstance(value, Tensor) else constants(value, f"AcousticModelling: {what}")
    if not isinstance(value, Tensor) and is_on_nodes(tensor):
        tensor = tensor.long()
    if tensor.ndim not in (2, 3) or tensor.shape[-1] != ndim or tensor.numel() == 0:
        many = (
            "(shots, ndim) or (shots, sources, ndim)"
            if what == "sources"
            else "(receivers, ndim) or (shots, ..., ndim)"
        )
        raise ValueError(
            f"AcousticModelling: {what} must be of shape {many} with ndim={ndim}, got {tuple(tensor.shape)}"
        )
    return tensor


class AcousticBorn(LinearOperator):
    r"""Born modelling of acoustic waves: the derivative of :class:`AcousticModelling` in a direction.

    Forward:
        The perturbation :math:`\delta d = R \, \delta u` of the data, to first order:

        .. math:: \frac{1}{v^2} \frac{\partial^2 \delta u}{\partial t^2} = \nabla^2 \delta u
                  - \delta m \frac{\partial^2 u}{\partial t^2}, \qquad m = \frac{1}{v^2}

        of a perturbation of the velocity, :math:`\delta m = -2 \, \delta v / v^3`, or of the squared slowness.

    Adjoint:
        Reverse-time migration: with the adjoint wavefield :math:`\lambda`, which the data drive at the receivers in
        reverse time,

        .. math:: A^H d = - \sum_{shots} \int \lambda \frac{\partial^2 u}{\partial t^2} \, dt

        (times :math:`-2 / v^3` for the velocity). It is the exact adjoint of the discrete forward.

    The wavefield of the sources is computed anew in every product, and for the adjoint kept at checkpoints, so that the
    memory grows as the square root of the number of samples. ``A.H @ A`` is the Hessian of Gauss and Newton.

    Args:
        modelling: What is linearised.
        velocity: The velocity :math:`v` of the background, of the shape of a model.
        wavelet: The wavelet, as :class:`AcousticModelling` takes it, without batch axes.
        parameter: What models perturb: ``"velocity"`` or ``"slowness2"``, the squared slowness.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Models have shape ``modelling.dims``, data ``(shots, receivers, nt)``. Models perturb the layers as well, to which
    the velocity at the border extends.

    Raises:
        ValueError: If a shape does not fit, ``parameter`` is unknown, or a velocity is not positive, not finite, or too
            high for the time step.

    Example:
        >>> modelling = AcousticModelling((12, 14), 10.0, 0.002, 30, [[2, 5]], [[2, 9]],
        ...                               max_velocity=2000.0, frequency=25.0)
        >>> B = AcousticBorn(modelling, torch.full((12, 14), 1500.0), modelling.ricker())
        >>> B(torch.ones(12, 14)).shape
        torch.Size([1, 1, 30])
    """

    velocity: Tensor
    wavelet: Tensor
    modelling: AcousticModelling
    _replicates = True

    def __init__(
        self,
        modelling: AcousticModelling,
        velocity: Array,
        wavelet: Array,
        parameter: Literal["velocity", "slowness2"] = "velocity",
        dtype: DType = "float64",
        name: str = "B",
    ) -> None:
        if parameter not in ("velocity", "slowness2"):
            raise ValueError(f"AcousticBorn: parameter must be 'velocity' or 'slowness2', got {parameter!r}")
        super().__init__(modelling.dims, modelling.dimsd, dtype=dtype, name=name)
        self.modelling, self.parameter = modelling, parameter
        v = self._register("velocity", velocity)
        s = self._register("wavelet", wavelet)
        if tuple(v.shape) != self.dims:
            raise ValueError(f"AcousticBorn: velocity must be of shape {self.dims}, got {tuple(v.shape)}")
        if s.ndim > 3:
            raise ValueError(f"AcousticBorn: the wavelet must not have batch axes, got shape {tuple(s.shape)}")
        modelling._check_velocity(self._background())
        modelling._wavelet_of_sources(s)

    def _forward(self, x: Tensor) -> Tensor:
        return with_parts_as_batch(self._of_real, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return with_parts_as_batch(self._adjoint_of_real, y)

    def _of_real(self, x: Tensor) -> Tensor:
        survey = self.modelling.survey(self._background(), self._source())
        dtype = torch.promote_types(x.dtype, survey.dtype)
        compute = torch.promote_types(dtype, torch.float32)
        dw = self.modelling.padded(self._slope(compute) * x.to(compute), self._replicates)
        d = functions.born(survey.problem, survey.w.to(compute), survey.f.to(compute), dw)
        return survey.weigh(d).movedim(0, -1).to(dtype).contiguous()

    def _adjoint_of_real(self, y: Tensor) -> Tensor:
        survey = self.modelling.survey(self._background(), self._source())
        dtype = torch.promote_types(y.dtype, survey.dtype)
        compute = torch.promote_types(dtype, torch.float32)
        r = survey.spread(y.to(compute).movedim(-1, 0))
        by_w, _ = functions.gradient(survey.problem, survey.w.to(compute), survey.f.to(compute), r)
        return (self._slope(compute) * self.modelling.folded(by_w, self._replicates)).to(dtype)

    def _background(self) -> Tensor:
        """Return the velocity in the units of the grid."""
        return self.velocity

    def _source(self) -> Tensor:
        """Return the wavelet with the time step of the grid."""
        return self.wavelet

    def _slope(self, dtype: torch.dtype) -> Tensor:
        r"""Return the derivative of :math:`w = (v \Delta t)^2` by the parameter."""
        v, dt = self._background().to(dtype), self.modelling.grid.dt
        return 2 * dt**2 * v if self.parameter == "velocity" else -(dt**2) * v**4

    def illumination(self) -> Tensor:
        r"""Return how strongly sources illuminate each node: :math:`\sum_{s, t} (\partial w / \partial m \cdot q)^2`.

        This is the squared amplitude of what a unit perturbation of a node emits, summed over shots and samples. It is
        the diagonal of the Hessian of Gauss and Newton but for the ways to the receivers, which it takes to be alike
        for all nodes: the usual preconditioner of migration. (For the exact diagonal of a small problem, take
        ``(A.todense() ** 2).sum(0)``.)
        """
        survey = self.modelling.survey(self._background(), self._source())
        total: Tensor | None = None
        for _, q in functions.snapshots(survey.problem, survey.w, survey.f):
            if q is not None:
                energy = (q * q).sum(-len(self.dims) - 1, keepdim=True)
                total = energy if total is None else total + energy
        width = self.modelling.grid.pml_width
        if total is None:
            return torch.zeros_like(self.velocity)
        inside = total.squeeze(-len(self.dims) - 1)
        for axis, n in zip(range(-len(self.dims), 0), self.dims, strict=True):
            inside = inside.narrow(axis, width, n)
        return (self._slope(survey.compute) ** 2 * inside).to(survey.dtype)

    def extra_repr(self) -> str:
        return f"{self.modelling.extra_repr()}, parameter={self.parameter!r}"
