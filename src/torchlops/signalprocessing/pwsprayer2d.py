"""Spraying of the samples of a section along the slopes of its events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from torchlops.arrays import Array, DType
from torchlops.basicoperators._stencils import as_number
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.memory import blocks, empty
from torchlops.shapes import PER_SAMPLE, Dims, as_integer


class PWSprayer2D(AccumulatingOperator):
    r"""Spray each sample of a section along the local slopes, to ``radius`` traces on each side.

    The operator is continuous in the slopes, and differentiable except where a ray hits a sample exactly, as all rays
    do for zero slopes. There the gradient is the one-sided derivative towards greater depth.

    Forward:
        .. math:: y = x + \sum_{k=1}^{R} \alpha^k (S_k + S_{-k}) x

        where :math:`S_k` moves the sample at :math:`(z, x)` to trace :math:`x + k`, if it exists, and down by
        :math:`\sum_{j=0}^{k-1} \sigma_{z, x + j}` samples (:math:`S_{-k}` moves it to trace :math:`x - k`, and up by
        :math:`\sum_{j=1}^{k} \sigma_{z, x - j}`), distributed linearly over the two samples around that depth. Samples
        beyond the first or the last sample of a trace are added to that sample. Along a ray, the slopes are those at
        the depth where the ray starts.

    Adjoint:
        The samples are gathered along the same rays:

        .. math:: A^H y = y + \sum_{k=1}^{R} \alpha^k (S_k^H + S_{-k}^H) y

    Args:
        dims: Shape ``(nz, nx)`` of a section.
        sigma: Slopes :math:`\sigma` of shape ``dims``, in samples per trace. They may carry gradients.
        radius: Number of traces :math:`R` on each side, nonnegative.
        alpha: Decay factor :math:`\alpha` from trace to trace; 1 means no decay.
        dtype: Nominal dtype of the operator.
        name: A name for error messages.

    Raises:
        ValueError: If ``dims`` does not have two axes, ``sigma`` is complex or has the wrong shape, or ``radius`` is
            negative.

    Example:
        >>> A = PWSprayer2D((3, 3), torch.ones(3, 3), radius=1, alpha=0.5)
        >>> x = torch.zeros(3, 3)
        >>> x[1, 1] = 4.0
        >>> A(x)
        tensor([[2., 0., 0.],
                [0., 4., 0.],
                [0., 0., 2.]])
    """

    sigma: Tensor

    def __init__(
        self,
        dims: Dims,
        sigma: Array,
        radius: int = 8,
        alpha: float = 0.9,
        dtype: DType = "float64",
        name: str = "P",
    ) -> None:
        super().__init__(dims, dtype=dtype, name=name)
        if len(self.dims) != 2:
            raise ValueError(f"{self.name_and_type}: dims must have two axes (nz, nx), got {dims!r}")
        sigma = self._register("sigma", sigma, dtype)
        if tuple(sigma.shape) != self.dims or sigma.is_complex():
            raise ValueError(
                f"{self.name_and_type}: sigma must be real slopes of shape dims={self.dims}, one per sample, got "
                f"{sigma.dtype} of shape {tuple(sigma.shape)}. {PER_SAMPLE}"
            )
        self.radius = as_integer(radius, f"{self.name_and_type}: radius", least=0)
        self.alpha = as_number(alpha, f"{self.name_and_type}: alpha")
        self._work = 2 * self.radius + 1

    def _forward(self, x: Tensor) -> Tensor:
        return self._spray(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._gather(y)

    def _fast_forward(self, x: Tensor) -> Tensor:
        return self._spray_in_place(x)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return self._gather_in_place(y)

    def _spray(self, x: Tensor) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, self.sigma.dtype))
        y = _flat(x) * 1
        for step in self._steps():
            value = x.narrow(-1, step.source, step.width) * step.factor
            for index, weight in step.shares():
                values = _flat(value * weight)
                y = y.scatter_add(-1, index.expand(values.shape), values)
        return y.reshape(x.shape)

    def _gather(self, y: Tensor) -> Tensor:
        x = y.to(torch.promote_types(y.dtype, self.sigma.dtype)) * 1
        flat, batch = _flat(x), x.shape[:-2]
        for step in self._steps():
            total = x.new_zeros(())
            for index, weight in step.shares():
                found = flat.gather(-1, index.expand(*batch, *index.shape))
                total = total + found.reshape(*batch, *weight.shape) * (weight * step.factor)
            x = x + _placed(total, step.source, x.shape[-1])
        return x

    def _spray_in_place(self, x: Tensor) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, self.sigma.dtype))
        y = empty(x.shape, x.dtype).copy_(x)
        for step in self._steps():
            shares = [(index, weight * step.factor) for index, weight in step.shares()]
            for xs, ys, _ in blocks(x, y, 2, (-2, -1)):
                value = xs.narrow(-1, step.source, step.width)
                for index, weight in shares:
                    values = _flat(value * weight)
                    _flat(ys).scatter_add_(-1, index.expand(values.shape), values)
        return y

    def _gather_in_place(self, y: Tensor) -> Tensor:
        y = y.to(torch.promote_types(y.dtype, self.sigma.dtype)).contiguous()
        x = empty(y.shape, y.dtype).copy_(y)
        for step in self._steps():
            shares = [(index, weight * step.factor) for index, weight in step.shares()]
            for ys, xs, _ in blocks(y, x, 2, (-2, -1)):
                total = xs.narrow(-1, step.source, step.width)
                for index, weight in shares:
                    found = _flat(ys).gather(-1, index.expand(ys.shape[0], -1)).reshape(total.shape)
                    total += found.mul_(weight)
        return x

    def _steps(self) -> Iterator[_Step]:
        """Yield the steps of all rays, trace by trace, first to the right and then to the left."""
        sigma, (nz, nx) = self.sigma, self.dims
        # integers up to 2**24 are exact in single precision, which is faster
        counting = torch.float64 if sigma.dtype == torch.float64 or nz * nx > 1 << 24 else torch.float32
        rows = torch.arange(nz, device=sigma.device, dtype=counting)[:, None]
        columns = torch.arange(nx, device=sigma.device, dtype=counting)
        for way in (1, -1):
            drop = torch.zeros_like(sigma)
            for k in range(1, min(self.radius, nx - 1) + 1):
                width = nx - k
                if way == 1:
                    source, target = 0, k
                    drop = drop.narrow(1, 0, width) + sigma.narrow(1, k - 1, width)
                else:
                    source, target = k, 0
                    drop = drop.narrow(1, 1, width) - sigma.narrow(1, 0, width)
                whole = drop.detach().floor()
                depth = rows + torch.nan_to_num(whole)
                column = columns.narrow(0, target, width)
                upper, lower = (
                    torch.clamp(row, 0, nz - 1).mul(nx).add(column).to(torch.int64).reshape(-1)
                    for row in (depth, depth + 1)
                )
                yield _Step(source, width, upper, lower, drop - whole, self.alpha**k)

    def extra_repr(self) -> str:
        return f"radius={self.radius}, alpha={self.alpha}"


class _Step(NamedTuple):
    """One step of all rays: from traces ``source`` to ``source + width - 1`` to two samples each."""

    source: int
    width: int
    upper: Tensor
    lower: Tensor
    rest: Tensor  # distance of the ray below the upper sample, in samples
    factor: float

    def shares(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        return (self.upper, 1 - self.rest), (self.lower, self.rest)


def _flat(x: Tensor) -> Tensor:
    return x.reshape((*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def _placed(x: Tensor, start: int, width: int) -> Tensor:
    """Return a section of ``width`` zero traces with ``x`` inserted at trace ``start``."""
    before = x.new_zeros((*x.shape[:-1], start))
    after = x.new_zeros((*x.shape[:-1], width - start - x.shape[-1]))
    return torch.cat((before, x, after), -1)
