"""Operators and applications of amplitude-versus-offset analysis, and post-stack and pre-stack inversion."""

__all__: list[str] = []
