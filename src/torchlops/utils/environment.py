"""What a bug report needs to know about the software, the machine and their settings."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from torchlops.memory import can_reuse_memory
from torchlops.torch_internals import compiler_of_inductor
from torchlops.version import __version__

EXTRAS = (
    "scipy",
    "matplotlib",
    "scikit-image",
    "tqdm",
    "sympy",
    "PyWavelets",
    "curvelets",
    "jax",
    "pytensor",
    "deepinv",
    "linear_operator",
    "pylops",
)
"""The packages that some features need, and PyLops, by the names under which pip installs them."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MEMORY_VARIABLES = (
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_ARENA_MAX",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "NUMPY_MADVISE_HUGEPAGE",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
)


def environment() -> dict[str, dict[str, str]]:
    """Return the versions, the machine and the settings, in sections.

    Example:
        >>> sorted(environment())
        ['compiler', 'extras', 'machine', 'memory', 'threads', 'versions']
    """
    return {
        "versions": {
            "Python": f"{platform.python_version()} ({platform.python_implementation()})",
            "torchlops": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "torch's build": _build(),
        },
        "extras": {name: version_of(name) for name in EXTRAS},
        "machine": {
            "OS": platform.platform(),
            "CPU": _cpu(),
            "cores": f"{_usable_cores()} of {os.cpu_count()}",
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "devices": ", ".join(["cpu", *_accelerators()]),
        },
        "threads": {
            "torch, in an operation": str(torch.get_num_threads()),
            "torch, between operations": str(torch.get_num_interop_threads()),
            **_variables(THREAD_VARIABLES),
        },
        "compiler": {"of torch.compile": _compiler(), **_variables(("CXX",))},
        "memory": {
            "of the machine": _memory(),
            "huge pages": _huge_pages(),
            "reuse_memory": "available" if can_reuse_memory() else "without effect: the C library is not glibc",
            **_variables(MEMORY_VARIABLES),
        },
    }


def version_of(name: str) -> str:
    """Return the version of an installed package, or that it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _build() -> str:
    kinds = {"CUDA": torch.version.cuda, "ROCm": torch.version.hip, "XPU": getattr(torch.version, "xpu", None)}
    accelerators = [f"{kind} {number}" for kind, number in kinds.items() if number]
    libraries = {"MKL": torch.backends.mkl, "oneDNN": torch.backends.mkldnn}
    return ", ".join([*(accelerators or ["CPU only"]), *(name for name, it in libraries.items() if it.is_available())])


def _cpu() -> str:
    """Return the name of the processor, which Python knows only on some systems."""
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()} ({platform.machine()})"
    return f"{platform.processor() or 'unknown'} ({platform.machine()})"


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _accelerators() -> list[str]:
    if torch.cuda.is_available():
        return [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.accelerator.is_available():
        kind = torch.accelerator.current_accelerator()
        return [f"{kind.type}:{i}" for i in range(torch.accelerator.device_count())] if kind else []
    return []


def _compiler() -> str:
    path = compiler_of_inductor()
    if path is None:
        return "none found"
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return f"{path}: {(answer.stdout or answer.stderr).partition(chr(10))[0].strip()}"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return "unknown"
    return f"{size / 2**30:.1f} GiB"


def _huge_pages() -> str:
    """Return the setting of Linux's transparent huge pages, which it writes as ``always [madvise] never``."""
    setting = _read("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.partition("[")[2].partition("]")[0] or "unknown"


def _variables(names: tuple[str, ...]) -> dict[str, str]:
    return {name: os.environ.get(name, "not set") for name in names}


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
