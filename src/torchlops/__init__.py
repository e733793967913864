"""Linear operators for inverse problems that PyTorch differentiates exactly."""

from torchlops import (
    _methods,  # noqa: F401  (imported last: adds the methods that need solvers)
    _pylops_names,  # noqa: F401
    avo,
    basicoperators,
    config,
    interop,
    linalg,
    linearoperator,
    medical,
    optimization,
    plot,
    signalprocessing,
    testing,
    torchoperator,
    utils,
    version,
    waveeqprocessing,
)
from torchlops.avo.poststack import *  # noqa: F403
from torchlops.avo.poststack import __all__ as _poststack
from torchlops.avo.prestack import *  # noqa: F403
from torchlops.avo.prestack import __all__ as _prestack
from torchlops.basicoperators import *  # noqa: F403
from torchlops.basicoperators import __all__ as _basicoperators
from torchlops.config import (
    disabled_ndarray_multiplication,
    enabled_ndarray_multiplication,
    get_ndarray_multiplication,
    set_ndarray_multiplication,
)
from torchlops.jaxoperator import JaxOperator
from torchlops.linearoperator import LinearOperator
from torchlops.optimization import *  # noqa: F403
from torchlops.optimization import __all__ as _optimization
from torchlops.persample import per_sample
from torchlops.pytensoroperator import PyTensorOperator
from torchlops.state import exclude_from_state_dict
from torchlops.torchoperator import TorchOperator, aslinearoperator
from torchlops.utils.dottest import dottest
from torchlops.utils.seismicevents import (
    hyperbolic2d,
    hyperbolic3d,
    linear2d,
    linear3d,
    makeaxis,
    parabolic2d,
    parabolic3d,
)
from torchlops.utils.tapers import cosinetaper, hanningtaper, taper, taper2d, taper3d, tapernd
from torchlops.utils.utils import Report
from torchlops.utils.wavelets import gaussian, klauder, ormsby, ricker
from torchlops.version import __version__ as __version__

__all__ = [
    "JaxOperator",
    "LinearOperator",
    "PyTensorOperator",
    "Report",
    "TorchOperator",
    "aslinearoperator",
    "avo",
    "basicoperators",
    "config",
    "cosinetaper",
    "disabled_ndarray_multiplication",
    "dottest",
    "enabled_ndarray_multiplication",
    "exclude_from_state_dict",
    "gaussian",
    "get_ndarray_multiplication",
    "hanningtaper",
    "hyperbolic2d",
    "hyperbolic3d",
    "interop",
    "klauder",
    "linalg",
    "linear2d",
    "linear3d",
    "linearoperator",
    "makeaxis",
    "medical",
    "optimization",
    "ormsby",
    "parabolic2d",
    "parabolic3d",
    "per_sample",
    "plot",
    "ricker",
    "set_ndarray_multiplication",
    "signalprocessing",
    "taper",
    "taper2d",
    "taper3d",
    "tapernd",
    "testing",
    "torchoperator",
    "utils",
    "version",
    "waveeqprocessing",
]
__all__ += _basicoperators + _optimization + _poststack + _prestack
