"""The house holds: imports run one way, the door opens fast, the lock is clean, files are small."""

import ast
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("threadlite", "bench", "deploy", "optimize", "train")
# Slow to load: each is imported inside the function that needs it.
HEAVY = (
    "ai_edge_litert",
    "ai_edge_quantizer",
    "altair",
    "keras",
    "onnx",
    "onnxruntime",
    "scipy",
    "sklearn",
    "tensorflow",
    "tensorflow_hub",
    "tensorflow_model_optimization",
    "tf2onnx",
    "tf_keras",
    "vl_convert",
)
HELP_SECONDS = 0.3
# A quiet machine starts a bare interpreter in less. Where it takes longer, the machine is slow or
# busy by that factor, and the limit for --help grows by the same factor.
BARE_SECONDS = 0.06
MAX_LINES = 300
MAX_FILE_BYTES = 8 * 2**20  # records of every approach, with the time of every operator
CLOTHING_PHOTO = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(jpe?g|png)", re.IGNORECASE
)
LOCK_LINE = re.compile(
    r"(?P<pin>[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.+]*( ; [^;:/]+)?) \\"
    r"|    --hash=sha256:[0-9a-f]{64}( \\)?"
    r"|#.*"
)


def project() -> Any:
    with (REPOSITORY / "pyproject.toml").open("rb") as stream:
        return tomllib.load(stream)["project"]


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py"))]


def test_every_package_has_sources() -> None:
    assert {path.relative_to(REPOSITORY).parts[0] for path in sources()} == set(PACKAGES)


# --- imports ---------------------------------------------------------------------------------


def test_imports_run_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert lint_imports(no_cache=True, no_logo=True) == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("import bench", "train is not allowed to import bench"),
        ("import tensorflow", "train is not allowed to import tensorflow"),
    ],
)
def test_contracts_see_a_wrong_import(tmp_path: Path, line: str, complaint: str) -> None:
    # The same contracts, over a house of stubs.
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "train" / "backend.py").write_text("import tensorflow\nimport tf_keras\n")
    (tmp_path / "pyproject.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    program = "from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))"
    assert run([sys.executable, "-c", program], cwd=tmp_path).returncode == 0
    (tmp_path / "train" / "wrong.py").write_text(line + "\n")
    broken = run([sys.executable, "-c", program], cwd=tmp_path)
    assert broken.returncode == 1
    assert complaint in broken.stdout


def imports_at_load(tree: ast.AST) -> Iterator[str]:
    """Yield the top names of what a module imports while it loads; functions are not entered."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from imports_at_load(other)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports_at_load(node)


def test_no_module_imports_anything_heavy_while_it_loads() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources()}
    heavy = {path: set(imports_at_load(tree)) & set(HEAVY) for path, tree in trees.items()}
    assert not {path: names for path, names in heavy.items() if names}


def test_imports_at_load_sees_blocks_and_skips_functions() -> None:
    module = "try:\n import onnx.helper\nexcept E:\n from keras import x\ndef f():\n import scipy\n"
    assert set(imports_at_load(ast.parse(module))) == {"onnx", "keras"}


# --- the door --------------------------------------------------------------------------------


def run(
    command: Sequence[str | Path], *, cwd: Path = REPOSITORY
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=60
    )


def seconds_of(command: Sequence[str | Path]) -> float:
    started = time.perf_counter()
    finished = run(command)
    assert finished.returncode == 0, finished.stderr
    return time.perf_counter() - started


def test_help_answers_at_once() -> None:
    door = Path(sysconfig.get_path("scripts")) / "threadlite"
    bare, helped = [], []
    for _ in range(7):
        bare.append(seconds_of([sys.executable, "-c", "pass"]))
        helped.append(seconds_of([door, "--help"]))
    slowness = max(1.0, statistics.median(bare) / BARE_SECONDS)
    assert statistics.median(helped) < HELP_SECONDS * slowness


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import contextlib, sys\n"
        "from threadlite.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    finished = run([sys.executable, "-c", program])
    assert finished.returncode == 0, finished.stderr
    loaded = finished.stdout.splitlines()[-1].split()
    assert loaded[0] == "loaded" and "threadlite" in loaded
    assert not set(loaded) & set(HEAVY)


# --- the lock --------------------------------------------------------------------------------


def pins() -> list[Requirement]:
    matches = map(LOCK_LINE.fullmatch, lock_lines())
    return [Requirement(match["pin"]) for match in matches if match and match["pin"]]


def lock_lines() -> list[str]:
    return (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()


def environments() -> Iterator[dict[str, str]]:
    systems = {
        "linux": ("Linux", "x86_64"),
        "darwin": ("Darwin", "arm64"),
        "win32": ("Windows", "AMD64"),
    }
    for minor in (11, 12, 13):
        for platform, (system, machine) in systems.items():
            yield {
                **{name: str(value) for name, value in default_environment().items()},
                "python_version": f"3.{minor}",
                "python_full_version": f"3.{minor}.5",
                "sys_platform": platform,
                "platform_system": system,
                "platform_machine": machine,
                "os_name": "nt" if platform == "win32" else "posix",
            }


def test_lock_holds_pins_and_hashes_and_no_host() -> None:
    odd = [line for line in lock_lines() if not LOCK_LINE.fullmatch(line)]
    assert not odd
    assert not [line for line in lock_lines() if "/" in line or "index" in line]


def test_lock_covers_the_project_on_every_python_and_system() -> None:
    described = project()
    extras = described["optional-dependencies"]["dev"]
    wanted = [Requirement(text) for text in [*described["dependencies"], *extras]]
    for environment in environments():
        here = [pin for pin in pins() if not pin.marker or pin.marker.evaluate(environment)]
        versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in here}
        assert len(versions) == len(here), "a package is pinned twice for one environment"
        for requirement in wanted:
            pinned = versions.get(canonicalize_name(requirement.name))
            assert pinned and requirement.specifier.contains(pinned), f"{requirement}: {pinned}"


def test_lock_brings_one_training_framework_and_no_gpu_packages() -> None:
    names = {canonicalize_name(pin.name) for pin in pins()}
    assert "tensorflow" in names
    assert not {name for name in names if re.match(r"(torch|jax|nvidia|triton|cuda)(-|$)", name)}


# --- what is kept ----------------------------------------------------------------------------


def kept_files() -> list[Path]:
    """Return what git tracks or would add, so that a file is judged before its commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = run(command)
    except FileNotFoundError:
        pytest.skip("git is not installed, so nobody can say what it tracks")
    if listed.returncode != 0:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    paths = (REPOSITORY / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_kept_file_is_large_or_a_clothing_photo() -> None:
    kept = kept_files()
    assert Path(__file__).resolve() in kept
    assert not [path for path in kept if path.stat().st_size > MAX_FILE_BYTES]
    assert not [path for path in kept if CLOTHING_PHOTO.fullmatch(path.name)]


def test_photo_pattern_knows_a_photo_of_the_dataset() -> None:
    assert CLOTHING_PHOTO.fullmatch("4285fab0-751a-4b74-8e9b-43af05deee22.jpg")
    assert not CLOTHING_PHOTO.fullmatch("scores.png")


def test_no_source_is_too_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert not {path: lines for path, lines in lengths.items() if lines >= MAX_LINES}


def test_changelog_tells_of_this_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[([^]]+)]", changelog, re.MULTILINE)
    assert newest and newest[1] == project()["version"]


def test_ci_runs_the_same_targets_as_check() -> None:
    ci = REPOSITORY / ".ci" / "run"
    assert os.access(ci, os.X_OK)
    called = re.findall(r"^make (\S+)$", ci.read_text(encoding="utf-8"), re.MULTILINE)
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    check = re.search(r"^check: (\S+) .*\n\t.*\$\(MAKE\).* (\S+)$", makefile, re.MULTILINE)
    assert check and called == list(check.groups()) == ["lint", "test"]
