"""The sensitivities of receiver coils."""

from __future__ import annotations

from torch import Tensor

from torchlops.arrays import Array, DType, as_tensor, conjugate
from torchlops.basicoperators._wide import AccumulatingOperator
from torchlops.shapes import Dims, as_dims

__all__ = ["Sensitivity"]


class Sensitivity(AccumulatingOperator):
    r"""The images that receiver coils see: an image, multiplied by the sensitivity of each coil.

    Forward:
        .. math:: y_{cn} = s_{cn} x_n

        with the sensitivity :math:`s_c` of coil :math:`c`.

    Adjoint:
        .. math:: (A^H y)_n = \sum_c \overline{s_{cn}} \, y_{cn}

    Args:
        maps: The sensitivities, ``(coils, *dims)``. With ``dims``, also ``(*samples, coils, *dims)``, maps of their own
            for each of several images. They carry gradients.
        dims: Shape of an image. By default all axes of ``maps`` but the first.
        dtype: Nominal dtype of the operator. Defaults to that of ``maps``.
        name: A name for error messages.

    Models have shape ``(*samples, *dims)``, data ``(*samples, coils, *dims)``.

    Attributes:
        coils: Number of coils.
        image_ndim: Number of axes of one image.

    Raises:
        ValueError: If ``maps`` has no axis for the coils, or ``dims`` are not its last axes.

    Source: K. P. Pruessmann et al., SENSE: Sensitivity encoding for fast MRI, Magnetic Resonance in Medicine 42 (1999),
    952-962.

    Example:
        >>> import torch
        >>> A = Sensitivity(torch.tensor([[1.0, 0.0], [0.5, 2.0]]))
        >>> A(torch.tensor([1.0, 3.0]))
        tensor([[1.0000, 0.0000],
                [0.5000, 6.0000]])
        >>> A.H(torch.ones(2, 2))
        tensor([1.5000, 2.0000])
    """

    maps: Tensor

    _adds_up = (False, True)

    def __init__(self, maps: Array, dims: Dims | None = None, dtype: DType | None = None, name: str = "S") -> None:
        maps = as_tensor(maps, "Sensitivity: maps", dtype)
        shape = tuple(maps.shape)
        image = shape[1:] if dims is None else as_dims(dims)
        if len(shape) <= len(image) or not image or shape[-len(image) :] != image or 0 in shape:
            wanted = "(coils, *dims), at least one of each" if dims is None else f"(*samples, coils, {image})"
            raise ValueError(f"Sensitivity: maps must be of shape {wanted}, got {shape}")
        self.image_ndim, self._axis = len(image), -len(image) - 1
        super().__init__((*shape[: self._axis], *image), shape, dtype=dtype, name=name)
        self.coils = shape[self._axis]
        self._register("maps", maps)

    def _forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(self._axis) * self.maps

    def _adjoint(self, y: Tensor) -> Tensor:
        return (y * conjugate(self.maps)).sum(self._axis)

    def extra_repr(self) -> str:
        return f"{self.coils} coils"
