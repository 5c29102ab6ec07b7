"""The house keeps its shape: arrows one way (import-linter), rooms of a size one can read, one module per tool."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("foundation", "train", "eval", "sweeper", "hydra_plugins")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def test_arrows_point_one_way() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_no_modules_import_one_another() -> None:
    """Late imports count, too; those for types alone do not: a port and its settings may name one another."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    imports = {name: set(_imports_of(path, modules)) - {name} for name, path in modules.items()}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names them


def _imports_of(path: Path, modules: Collection[str]) -> Iterator[str]:
    tree = tree_of(path)
    for_types = (
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    skipped = {id(each) for node in for_types for line in node.body for each in ast.walk(line)}
    for node in (node for node in ast.walk(tree) if id(node) not in skipped):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield from (each for each in [name if name in modules else node.module] if each in modules)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_a_room_and_functions_fit_a_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 330
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, node.name


def test_the_supervisor_loads_no_model_library() -> None:
    """The process that owns a study is up in seconds: what takes its time to import is the workers'."""
    heavy = {"diffusers", "transformers", "peft", "accelerate", "torchmetrics"}
    code = f"import sys, sweeper.study.run; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_finished_study_is_told_of_without_what_takes_its_time_to_import() -> None:
    heavy = {"torch", "numpy", "PIL", "matplotlib", "optuna", "mlflow", "sqlalchemy"}
    code = (
        "import sys; from sweeper.study_command import already_finished, plan_by_taste; "
        "already_finished(plan_by_taste(['+experiment=pencil', 'study.name=none'])); "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_config_is_read_without_torch() -> None:
    """Metrics that are chosen as objectives are looked up, and not computed."""
    code = (
        "import sys; from sweeper.search.space import plan; import eval.command, sweeper.results.winner; "
        "plan(['+experiment=pencil', 'study.objectives=[style,kid]']); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_devices_are_spoken_of_in_one_place() -> None:
    """What is CUDA's alone stays in two rooms; all else goes through `foundation.devices` and torch.accelerator."""
    of_cuda = {ROOT / "train" / "cuda_graphs.py", ROOT / "foundation" / "bases" / "quantization.py"}
    others = ("torch.cuda", "torch.mps", "torch.xpu")
    for path in set(FILES) - of_cuda:
        named = {ast.unparse(node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
        assert not named & {*others}, path


def test_config_names_no_code() -> None:
    """`_target_` would let a config call anything; only our own plugin's registration in code has one."""
    assert not [path for path in (ROOT / "conf").rglob("*.yaml") if "_target_" in path.read_text()]


def test_nothing_from_outside_is_unpickled() -> None:
    """torch.load appears only with weights_only, over files that this project wrote itself."""
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert {keyword.arg for keyword in node.keywords} >= {"weights_only"}, path


def test_documents_are_read_in_one_place() -> None:
    """What comes from a disk is read by `foundation.files.documents`: it refuses what Python's readers let through."""
    readers = {"json.load", "json.loads", "yaml.load", "yaml.safe_load", "yaml.full_load", "OmegaConf.load"}
    readers |= {"tomllib.load", "tomllib.loads"}
    exceptions = {
        ROOT / "foundation" / "files" / "documents.py": "is that place",
        ROOT / "foundation" / "adapters" / "files" / "part.py": "makes plain values of its own by a round trip",
    }
    for path in set(FILES) - set(exceptions):
        calls = {ast.unparse(node.func) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)}
        assert not calls & readers, path


def test_one_module_prints_and_none_prints_markup() -> None:
    """A path, a name or a caption is never read as markup; a live table is the one other thing that is drawn."""
    draws = {ROOT / "foundation" / "console.py", ROOT / "sweeper" / "study" / "display.py"}
    for path in set(FILES) - draws:
        tree = tree_of(path)
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not called & {"print", "sys.stdout.write", "sys.stderr.write"}, path
        assert "rich" not in {name.partition(".")[0] for name in _imported(tree)}, path
    for path in draws:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Console":
                assert "markup=False" in map(ast.unparse, node.keywords), path


def test_addresses_are_made_in_one_place() -> None:
    """A path put into a URL by hand breaks at the first `?`, `#` or `%`."""
    for path in set(FILES) - {ROOT / "sweeper" / "records" / "urls.py"}:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.JoinedStr):
                assert not re.match(r"f['\"](sqlite|file):", ast.unparse(node)), path
            assert not (isinstance(node, ast.Attribute) and node.attr == "as_uri"), path


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_where_there_are_many_parameters_the_docstring_names_each() -> None:
    """Six or more; a class's are in its own docstring or its `__init__`'s, a port's with the port."""
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert not _unnamed(node, ast.get_docstring(node)), f"{path}: {node.name}"
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                for made in (
                    each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"
                ):
                    words = f"{ast.get_docstring(node)} {ast.get_docstring(made)}"
                    assert not _unnamed(made, words), f"{path}: {node.name}"


def _unnamed(function: ast.FunctionDef, docstring: str | None) -> list[str]:
    """Parameters that are not named; a method without a docstring is one of a port."""
    arguments = function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    own = [name for name in names if name not in ("self", "cls")]
    if len(own) < 6 or docstring is None:
        return []
    return [name for name in own if not re.search(rf"\b{name}\b", docstring)]


IRREGULAR = {"told", "asked", "shown", "seen", "known", "made", "said", "kept", "held", "found", "drawn", "written"}
IRREGULAR |= {"taken", "given", "begun", "done", "lost", "heard", "chosen", "hidden", "built", "sent", "bound"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_functions_name_is_a_participle(path: Path) -> None:
    """A function says what it does or what it returns: `quote` or `quoted_text`, not `quoted`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            word = node.name.strip("_")
            regular = word.endswith("ed") and "_" not in word and word not in ("seed", "embed", "feed")
            assert not regular and word not in IRREGULAR, node.name
