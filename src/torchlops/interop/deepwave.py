"""Born modelling by Deepwave, which has more kinds of waves than this library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from torchlops.arrays import as_tensor
from torchlops.basicoperators._positions import carries_derivative
from torchlops.extras import import_extra
from torchlops.linearoperator import LinearOperator
from torchlops.torch_internals import is_batched_by_legacy_vmap, is_wrapped

PERTURBATIONS = {"scalar": ("dv",), "acoustic": ("dv", "drho"), "elastic": ("dlamb", "dmu", "dbuoyancy")}
"""The arguments of Deepwave's Born propagators for perturbations, in the order of their models."""


class DeepwaveBorn(LinearOperator):
    r"""Born modelling by Deepwave: the derivative of data by the models of one of its propagators.

    Forward:
        .. math:: \delta d = \sum_k \frac{\partial d}{\partial m_k} \delta m_k

        by Deepwave's Born propagation.

    Adjoint:
        .. math:: (A^H r)_k = \left( \frac{\partial d}{\partial m_k} \right)^H r

        by its backpropagation.

    For elastic waves and for varying density, on a CPU or with CUDA.
    :class:`~torchlops.waveeqprocessing.AcousticBorn` is the native operator of scalar waves.

    Derivatives by what it is applied to are exact in reverse and in forward mode, also nested; none reaches
    ``models``. The transforms of ``torch.func``, and ``torch.compile``, raise. Items of a batch are propagated one by
    one, the shots of an item together. Deepwave has limits of its own, for example that no two receivers of a shot may
    stand on one node: its errors are passed on.

    Args:
        propagator: ``"scalar"`` (of the velocity), ``"acoustic"`` (velocity and density) or ``"elastic"`` (Lamé's
            parameters and the buoyancy), for ``deepwave.scalar_born`` and so on.
        models: The models of the background, in this order, all of one shape.
        grid_spacing: Distance of the nodes.
        dt: Time step.
        output: Which of its results the data are, for example ``"sc_receiver_amplitudes_y"``.
        name: A name for error messages.
        **options: Further arguments of the propagator, such as ``source_amplitudes``, ``source_locations`` and
            ``sc_receiver_locations``, whose names differ between propagators.

    Models have shape ``(len(models), *shape)``, or ``shape`` if there is one; data have that of ``output``.

    Raises:
        ImportError: If Deepwave is not installed.
        ValueError: If the propagator or the output is unknown, the number, shapes or dtypes of the models do not fit,
            or the time step is so long that Deepwave would divide it (its adjoint is then wrong by some 1e-4).
        TypeError: If a model or an option carries a derivative, or an option is a perturbation.

    Example:
        >>> J = DeepwaveBorn("scalar", [torch.full((20, 20), 1500.0)], 10.0, 0.002,
        ...                  source_amplitudes=torch.ones(1, 1, 30), source_locations=torch.tensor([[[5, 5]]]),
        ...                  sc_receiver_locations=torch.tensor([[[5, 9]]]),
        ...                  pml_freq=15.0, max_vel=2000.0)  # doctest: +SKIP
        >>> J(torch.ones(20, 20)).shape  # doctest: +SKIP
        torch.Size([1, 1, 30])
    """

    def __init__(
        self,
        propagator: str,
        models: Sequence[Tensor],
        grid_spacing: float | Sequence[float],
        dt: float,
        output: str = "sc_receiver_amplitudes",
        name: str = "J",
        **options: Any,
    ) -> None:
        deepwave = import_extra("deepwave", "DeepwaveBorn")
        if propagator not in PERTURBATIONS:
            raise ValueError(f"DeepwaveBorn: propagator must be one of {', '.join(PERTURBATIONS)}, got {propagator!r}")
        names = PERTURBATIONS[propagator]
        if taken := sorted(options.keys() & set(names)):
            raise TypeError(f"DeepwaveBorn: {', '.join(taken)} is what the operator is applied to, and no option")
        given = {f"models[{i}]": as_tensor(model, "DeepwaveBorn: models") for i, model in enumerate(models)}
        for what, value in {**given, **options}.items():
            if isinstance(value, Tensor) and carries_derivative(value):
                raise TypeError(
                    f"DeepwaveBorn: {what} carries a derivative, which Deepwave's Born propagation does not give here: "
                    "detach it"
                )
        held = list(given.values())
        if len(held) != len(names) or any((m.shape, m.dtype) != (held[0].shape, held[0].dtype) for m in held):
            found = [(tuple(model.shape), model.dtype) for model in held]
            raise ValueError(
                f"DeepwaveBorn: {propagator} takes {len(names)} models, for {', '.join(names)}, of one shape and "
                f"dtype; got {found}"
            )
        self._held_models, self._output = held, output
        self._propagate = partial(getattr(deepwave, f"{propagator}_born"), *held, grid_spacing, dt, **options)
        self._names = names
        self.propagator = propagator
        with torch.no_grad():
            results = self._results([torch.zeros_like(model) for model in held])
        if results.info.step_ratio > 1:
            raise ValueError(
                f"DeepwaveBorn: dt={dt:g} is too long: Deepwave would take steps of {results.info.internal_dt:.4g} "
                "within it, for which its backpropagation is not the adjoint of its propagation. Take such a dt, and "
                "interpolate the source to it"
            )
        dimsd = tuple(self._data_of(results).shape)
        shape = tuple(held[0].shape)
        super().__init__((len(held), *shape) if len(held) > 1 else shape, dimsd, dtype=held[0].dtype, name=name)

    def _results(self, perturbations: Sequence[Tensor]) -> Any:
        return self._propagate(**dict(zip(self._names, perturbations, strict=True)))

    def _data(self, perturbations: Sequence[Tensor]) -> Tensor:
        return self._data_of(self._results(perturbations))

    def _data_of(self, results: Any) -> Tensor:
        result = getattr(results, self._output, None)
        if not isinstance(result, Tensor):
            raise ValueError(
                f"DeepwaveBorn: deepwave.{self.propagator}_born has no result {self._output!r} here; it has {results}"
            )
        return result

    def _forward(self, x: Tensor) -> Tensor:
        return self._applied(x, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._applied(y, True)

    def _applied(self, x: Tensor, adjoint: bool) -> Tensor:
        if x.is_complex():
            return torch.complex(self._applied(x.real, adjoint), self._applied(x.imag, adjoint))
        if torch.compiler.is_compiling() or is_wrapped(x) or is_batched_by_legacy_vmap(x):
            raise NotImplementedError(
                f"{self.name_and_type}: Deepwave does not support torch.compile, nor the transforms of torch.func: "
                "call it eagerly and use torch.autograd"
            )
        result: Tensor = _Linear.apply(x, self, adjoint)  # type: ignore[no-untyped-call]
        return result

    def _each(self, x: Tensor, adjoint: bool) -> Tensor:
        side, out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        batch = x.shape[: x.ndim - len(side)]
        like = self._held_models[0]
        dtype = torch.promote_types(x.dtype, like.dtype)
        items = [self._one(item.to(like), adjoint).to(dtype) for item in x.detach().reshape(-1, *side)]
        return torch.stack(items).reshape(*batch, *out) if items else x.new_zeros((*batch, *out), dtype=dtype)

    def _one(self, x: Tensor, adjoint: bool) -> Tensor:
        several = len(self._held_models) > 1
        if not adjoint:
            return self._data([part.contiguous() for part in (x if several else x[None])])
        with torch.inference_mode(False), torch.enable_grad():
            leaves = [torch.zeros_like(model, requires_grad=True) for model in self._held_models]
            parts = torch.autograd.grad(self._data(leaves), leaves, x.clone())
        return torch.stack(parts) if several else parts[0]

    def extra_repr(self) -> str:
        return f"{self.propagator!r}, {tuple(self._held_models[0].shape)}"


class _Linear(torch.autograd.Function):
    """A linear map that Deepwave computes: its derivatives are its own products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: DeepwaveBorn, adjoint: bool) -> Tensor:
        ctx.operator, ctx.adjoint, ctx.dtype = operator, adjoint, x.dtype
        return operator._each(x, adjoint)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return ctx.operator._applied(grad, not ctx.adjoint).to(ctx.dtype), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        result: Tensor = ctx.operator._applied(tangent, ctx.adjoint)
        return result
