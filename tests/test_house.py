"""The layout that CONTRIBUTING.md describes: what may import what, and where a newcomer finds things."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
SCRIPTS = PROJECT / "scripts"
# Command lines that serve two rules, or two forms of one.
ALSO = {"fine_tuned_model": "transfer", "influence_pictures": "influence_table", "report_so_far": "report"}


def modules() -> dict[str, Path]:
    """{dotted name: file} of everything under scripts/."""
    files = {".".join(file.relative_to(SCRIPTS).with_suffix("").parts): file for file in SCRIPTS.rglob("*.py")}
    return {name.removesuffix(".__init__"): file for name, file in files.items()}


def imports(name: str, file: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the project that a module imports, anywhere in it; a package counts for what lies in it only."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {other for other in found & known.keys() if known[other].name != "__init__.py"} - {name}


def test_no_import_circle():
    known = modules()
    graph = {name: imports(name, file, known) for name, file in known.items()}
    assert graph["advtransfer.transfer"] >= {"advtransfer.models", "advtransfer.activations"}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == set(known)


def test_every_name_that_is_imported_is_there():
    """Lazily imported ones too, which only a job would miss."""
    known, missing = modules(), []
    for name, file in known.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.module not in known:
                continue
            body = ast.parse(known[node.module].read_text(encoding="utf-8")).body
            defined = {thing.name for thing in body if isinstance(thing, ast.FunctionDef | ast.ClassDef)}
            defined |= {
                leaf.id
                for thing in body
                if isinstance(thing, ast.Assign | ast.AnnAssign)
                for leaf in ast.walk(thing)
                if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)
            }
            wanted = {alias.name for alias in node.names if f"{node.module}.{alias.name}" not in known}
            missing += [f"{name}: {node.module}.{one}" for one in sorted(wanted - defined)]
    assert missing == []


def test_packages_hold_a_docstring_only():
    """A re-export would put a whole package into the content hash of whatever imports one module of it."""
    for file in SCRIPTS.rglob("__init__.py"):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        assert len(body) == 1, file
        assert isinstance(body[0].value, ast.Constant), file


@pytest.mark.parametrize("package", ["advtransfer/config", "advtransfer/tables", "figures"])
def test_what_runs_at_every_start_tabulates_or_draws_imports_no_torch(package):
    names = [name for name, file in modules().items() if file.is_relative_to(SCRIPTS / package)]
    assert len(names) > 5
    code = f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\n"
    code += "print(*{'torch', 'torchvision', 'kornia'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.strip() == ""


def test_rules_and_command_lines_share_their_names():
    rules = {}
    for file in (PROJECT / "rules").glob("*.smk"):
        text = file.read_text(encoding="utf-8")
        rules |= dict.fromkeys(re.findall(r"^(?:rule|use rule \w+ as) (\w+)(?: with)?:", text, re.M), file)
        for body in re.split(r"^(?=rule |use rule )", text, flags=re.M)[1:]:
            name = re.match(r"(?:rule|use rule \w+ as) (\w+)", body)[1]
            for script in re.findall(r"python scripts/(\w+)\.py", body):
                assert script == ALSO.get(name, name), f"rule {name} runs scripts/{script}.py"
    assert set(ALSO) <= set(rules)
    commands = {file.stem for file in SCRIPTS.glob("*.py")}
    assert commands <= set(rules), "a command line without a rule"


def test_common_is_short_and_holds_no_rule():
    text = (PROJECT / "rules" / "common.smk").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert not re.search(r"^(use )?rule ", text, re.M)
    for file in (PROJECT / "rules").glob("*.smk"):
        if file.name != "common.smk":
            assert not re.search(r"^def ", file.read_text(encoding="utf-8"), re.M), file


def test_tests_mirror_the_library():
    """A test file is found by the name of its module."""
    for file in (PROJECT / "tests" / "advtransfer").rglob("test_*.py"):
        folder = file.parent.relative_to(PROJECT / "tests")
        module = SCRIPTS / folder / file.name.removeprefix("test_").replace("_fuzz.py", ".py")
        assert module.is_file() or module.with_suffix("").is_dir(), f"{file.name} tests no module of {folder}"
