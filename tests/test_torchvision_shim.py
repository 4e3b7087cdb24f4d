"""Laws of the torchvision hook: open_clip imports beside any torch, and nothing heavy is imported before that."""

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_installing_the_hook_imports_neither_torch_nor_torchvision():
    code = "import core, sys; print(sorted({'torch', 'torchvision', 'open_clip'} & set(sys.modules)))"
    assert run(code) == "[]"


def test_the_hook_is_installed_once():
    code = (
        "import core, sys; from core.torchvision_shim import install, _Finder; install()\n"
        "print(sys.meta_path.count(_Finder))"
    )
    assert run(code) == "1"


def test_open_clip_imports_and_both_operators_are_declared():
    code = (
        "import core, open_clip, torch\n"
        "print(all(hasattr(torch.ops.torchvision, name) for name in ('nms', 'qnms')))"
    )
    assert run(code) == "True"
