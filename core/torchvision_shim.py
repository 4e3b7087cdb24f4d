"""Lets `import torchvision` work beside a CPU build of torch. Imports neither until somebody asks for torchvision.

The Linux wheel of torchvision on the package index is linked to CUDA: beside a CPU torch its native operators do
not load, and its Python code, with open_clip and timm after it, stops at an operator that nobody declared. The hook
declares the two operators it stops at. Where the native ones load it changes nothing. `torchvision.ops.nms` and
`torchvision.io` stay unusable on CPU.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept = []  # a library's declarations vanish with the object


def declare_operators(package: Path) -> None:
    """Load the native operators in the folder `package`; declare `nms` and `qnms` where they do not load."""
    import torch

    try:
        for library in sorted(package.glob("_C*")):
            torch.ops.load_library(str(library))
    except (OSError, RuntimeError):  # linked to CUDA libraries that are not there
        pass
    if not hasattr(torch.ops.torchvision, "nms"):
        fragment = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            fragment.define(name + SCHEMA)
        _kept.append(fragment)


class _Loader(SourceFileLoader):
    def exec_module(self, module) -> None:
        declare_operators(Path(self.path).parent)
        super().exec_module(module)


class _Finder:
    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Put the hook in place, once."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
