"""Names that PyLops has in modules which, here, lie below what they name: they are attached from above.

``torchlops/__init__.py`` imports this module, so that they are there for everyone who imports any part of the library.
"""

from __future__ import annotations

from torchlops import linearoperator, utils
from torchlops.torchoperator import aslinearoperator
from torchlops.utils import estimators, signalprocessing
from torchlops.utils.estimators import trace_hutchinson, trace_hutchpp, trace_nahutchpp

for _module, _name, _value in (
    (linearoperator, "aslinearoperator", aslinearoperator),
    (utils, "estimators", estimators),
    (utils, "signalprocessing", signalprocessing),
    (utils, "trace_hutchinson", trace_hutchinson),
    (utils, "trace_hutchpp", trace_hutchpp),
    (utils, "trace_nahutchpp", trace_nahutchpp),
):
    setattr(_module, _name, _value)
