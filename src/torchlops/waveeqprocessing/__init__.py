"""Operators and applications of seismic wave-equation processing."""

__all__: list[str] = []
