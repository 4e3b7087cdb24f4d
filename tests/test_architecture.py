"""Which part may know which, read from the syntax trees; nothing is imported."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("core/**/*.py"), *ROOT.glob("demo/**/*.py"), *ROOT.glob("*.py")])
ERRORS = ("core.search.errors",)
TYPES = (*ERRORS, "core.search.budget")
REAL = ("core.packages", "core.kept", "core.place", "core.machine")   # what loading a real model asks
# A module may import from these prefixes of our own code, and no others.
ALLOWED = {
    "core.search": ("core.search",),
    "core.world": ("core.world", *ERRORS),
    "core.models": ("core.models", "core.world", *ERRORS),
    "core.generators": ("core.generators", "core.registry", "core.models", "core.world", *REAL, *TYPES),
    "core.verifiers": ("core.verifiers", "core.registry", "core.models", "core.world", *REAL, *TYPES),
    "core.training": ("core.training", "core.generators", "core.verifiers", "core.models", "core.world", *ERRORS),
    "core": ("core",),
    "demo": ("core", "demo"),
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Every module named in an import, however deep, as an absolute dotted name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} line {node.lineno}: imports are absolute here"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def inside(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def ours(path: Path) -> set[str]:
    return {module for module in imports(path) if module.split(".")[0] in ("core", "demo", "app", "tests")}


def modules(prefix: str) -> list[Path]:
    found = [path for path in FILES if inside(name_of(path), prefix)]
    assert found or prefix == "core.training"
    return found


@pytest.mark.parametrize("path", modules("core"), ids=name_of)
def test_imports_point_one_way(path):
    """world <- models <- generators, verifiers; search knows nothing of ours; nothing in core knows demo."""
    layer = max((layer for layer in ALLOWED if inside(name_of(path), layer)), key=len)
    allowed = ALLOWED[layer]
    wrong = {module for module in ours(path) if not any(inside(module, prefix) for prefix in allowed)}
    assert not wrong, f"{name_of(path)} may import {', '.join(allowed)} only"


@pytest.mark.parametrize("path", modules("core.search"), ids=name_of)
def test_the_search_core_is_pure_python(path):
    foreign = {module.split(".")[0] for module in imports(path)} - sys.stdlib_module_names - {"core"}
    assert foreign <= ({"networkx"} if name_of(path) == "core.search.tree" else set())
    top = {alias for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import) for alias in node.names}
    assert "networkx" not in {alias.name for alias in top}


@pytest.mark.parametrize("path", modules("core"), ids=name_of)
def test_the_core_does_not_know_the_page(path):
    assert not {"gradio", "plotly", "fastapi"} & {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("name", ["search", "generators", "verifiers", "models"])
def test_nothing_that_guides_knows_the_evaluation(name):
    for path in modules(f"core.{name}"):
        assert not any(inside(module, "core.evaluation") for module in ours(path))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_devices_are_arguments_and_pickles_are_not_loaded(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            called = f"{owner}.{node.func.attr}"
            assert node.func.attr != "cuda", f"line {node.lineno}: .cuda()"
            if called == "torch.load":
                safe = [keyword.value for keyword in node.keywords if keyword.arg == "weights_only"]
                assert safe and getattr(safe[0], "value", None) is True, f"line {node.lineno}: unsafe torch.load"
    unsafe = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}
    assert not unsafe & {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize(
    "name",
    ["answers", "arguments", "cli", "compare", "report", "request", "registry", "store.runs", "packages.slim",
     "generators.registry", "verifiers.registry"],
)
def test_what_answers_at_once_imports_nothing_heavy(name):
    """Only inside functions."""
    body = ast.parse((ROOT / "core" / f"{name.replace('.', '/')}.py").read_text()).body
    top = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    top |= {node.module for node in body if isinstance(node, ast.ImportFrom)}
    assert not {"torch", "numpy", "PIL", "gradio"} & {module.split(".")[0] for module in top}
