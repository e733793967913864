"""Stochastic trace estimators, under the name of PyLops's module."""

from torchlops.optimization.spectral.stochastic import trace_hutchinson, trace_hutchpp, trace_nahutchpp

__all__ = ["trace_hutchinson", "trace_hutchpp", "trace_nahutchpp"]
