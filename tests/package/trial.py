"""What an installed wheel must do in an environment with only the required dependencies; run there, with ``-I``.

It imports nothing of the checkout, and nothing but the standard library before the trial begins. Its argument is a JSON
list of the modules that the sources have. It prints what is wrong, and its exit status is the number of such lines.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import metadata
from pathlib import Path

PACKAGES_OF_DEMO = ("matplotlib", "skimage", "tqdm")


def trial(modules: list[str]) -> list[str]:
    """Return everything that is wrong with the installation, a line each."""
    import torchlops

    root = Path(torchlops.__file__).parent
    wrong = []
    if root != Path(sysconfig.get_path("purelib")) / "torchlops":
        wrong.append(f"torchlops is imported from {root}, not from the wheel")
    if not (root / "py.typed").exists():
        wrong.append("py.typed is missing: type checkers would ignore the annotations")
    return wrong + _imports(modules) + _use() + _missing_extras() + _command_line()


def _imports(modules: list[str]) -> list[str]:
    """Import every module. Only those of the demo may ask for packages that are not required."""
    wrong = []
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            if not (module.startswith("torchlops.demo.") and error.name in PACKAGES_OF_DEMO):
                wrong.append(f"import {module}: {error}")
        except Exception as error:
            wrong.append(f"import {module}: {type(error).__name__}: {error}")
    return wrong


def _use() -> list[str]:
    import torch

    import torchlops

    A = torchlops.FirstDerivative(8, edge=True)
    x = torch.arange(8.0, dtype=torch.float64, requires_grad=True)
    A(x).square().sum().backward()
    expected = 2 * A.H(A(x.detach()))
    wrong = [] if torch.allclose(x.grad, expected) else ["a gradient is wrong"]
    B = A.H @ A + torchlops.Identity(8)
    solution = torchlops.cg(B, B(x.detach()), niter=50).x
    if not torch.allclose(solution, x.detach(), atol=1e-2):
        wrong.append("cg does not solve a small system")
    torchlops.testing.check(A, compile=False)
    return wrong


def _missing_extras() -> list[str]:
    """Use what needs an extra, and expect to read which."""
    import torch

    import torchlops
    from torchlops.interop import DeepwaveBorn, as_gpytorch_operator, as_linear_physics

    sys.modules["sympy"] = None  # type: ignore[assignment]  # torch requires it
    A, y = torchlops.Identity(4), torch.ones(4)
    uses: dict[str, Callable[[], object]] = {
        "scipy": A.tosparse,
        "progress": lambda: torchlops.cg(A, y, progress=True),
        "describe": lambda: torchlops.utils.describe.describe(A),
        "plot": lambda: torchlops.plot.image(torch.ones(2, 2)),
        "wavelets": lambda: torchlops.signalprocessing.DWT(8),
        "curvelets": lambda: torchlops.signalprocessing.UDCT((8, 8), num_scales=2),
        "jax": lambda: torchlops.aslinearoperator(lambda x: 2 * x, dims=4, arrays="jax"),
        "pytensor": lambda: torchlops.PyTensorOperator(A)(y),
        "deepinv": lambda: as_linear_physics(A),
        "gpytorch": lambda: as_gpytorch_operator(A),
        "eikonal": lambda: torchlops.waveeqprocessing.Kirchhoff(
            [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [[0.0], [0.0]], [[0.0], [0.0]], 1.0, [1.0], 0
        ),
        "deepwave": lambda: DeepwaveBorn("scalar", [torch.ones(4, 4)], 1.0, 0.1),
        "finufft": lambda: torchlops.signalprocessing.NUFFT(4, [[0.0]], engine="finufft")(torch.ones(4)),
    }
    importlib.import_module("torchlops.utils.describe")
    declared = set(metadata("torchlops").get_all("Provides-Extra") or ())
    unknown = sorted(set(uses) - declared)
    wrong = [f"there are no extras {', '.join(unknown)}"] if unknown else []
    untried = sorted(declared - set(uses) - {"demo", "docs", "segy", "test"})  # no function asks for these
    wrong += [f"nothing tries the extras {', '.join(untried)}"] if untried else []
    return wrong + [line for extra, use in uses.items() if (line := _refusal(extra, use))]


def _refusal(extra: str, use: Callable[[], object]) -> str | None:
    hint = f"pip install 'torchlops[{extra}]'"
    try:
        use()
    except ImportError as error:
        return None if hint in str(error) else f"without the extra {extra}: {error}"
    except Exception as error:
        return f"without the extra {extra}: {type(error).__name__}: {error}"
    return f"without the extra {extra}, nothing asks for it"


def _command_line() -> list[str]:
    from torchlops.version import __version__

    command = Path(sysconfig.get_path("scripts")) / "torchlops"
    wrong = []
    for arguments, status, said in (
        (["--version"], 0, f"torchlops {__version__}"),
        (["info"], 0, "not installed"),
        (["check", "torchlops.basicoperators:Flip"], 2, "torchlops check: "),
        (["demo"], 1, "pip install 'torchlops[demo]'"),
    ):
        done = subprocess.run([str(command), *arguments], capture_output=True, text=True, check=False)
        printed = done.stdout + done.stderr
        if done.returncode != status or said not in printed or "Traceback" in printed:
            wrong.append(f"torchlops {' '.join(arguments)}: exit status {done.returncode}: {printed}")
    return wrong


if __name__ == "__main__":
    complaints = trial(json.loads(sys.argv[1]))
    print("\n".join(complaints))
    sys.exit(min(len(complaints), 100))
