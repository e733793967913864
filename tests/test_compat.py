"""``import pylops``, answered by torchlops, in processes of their own."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import torchlops
import torchlops.compat.pylops
import pylops
import pylops.signalprocessing.fft2d
from pylops.basicoperators import MatrixMult
from pylops.utils.dottest import dottest
assert pylops is torchlops
assert sys.modules["pylops.utils"] is torchlops.utils
assert torchlops.utils.__spec__.name == "torchlops.utils"
assert MatrixMult is torchlops.MatrixMult
assert dottest is torchlops.dottest and sys.argv[1:] == ["one"]
try:
    import pylops.nothing
except ModuleNotFoundError as error:
    assert "Coming from PyLops" in str(error)
else:
    raise AssertionError
torchlops.compat.pylops.uninstall()
assert "pylops" not in sys.modules
import pylops
assert pylops is not torchlops
try:
    torchlops.compat.pylops.install()
except RuntimeError as error:
    assert "before the first import" in str(error)
else:
    raise AssertionError
"""


def test_a_script_runs_on_torchlops(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    command = [sys.executable, "-m", "torchlops.compat.pylops", str(path), "one"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
