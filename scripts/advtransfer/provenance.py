"""Content hashes: what code made an artefact, so that it is made again when, and only when, that code changes."""

import ast
import functools
import hashlib
import io
import tokenize
from modulefinder import ModuleFinder
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]


@functools.cache
def code_of(*files: str, folder: Path = SCRIPTS) -> str:
    """Hash of Python files and of every module under `folder` that they import, directly or not, lazily or not.

    files: paths relative to `folder`. Comments, docstrings and blank lines do not count. Nothing is imported, so the
    hash takes milliseconds whatever the files use. Returns 16 hexadecimal digits.
    """
    modules: set[Path] = set()
    for file in files:
        finder = ModuleFinder(path=[str(folder)])
        finder.run_script(str(folder / file))
        modules |= {Path(module.__file__) for module in finder.modules.values() if module.__file__}
    digest = hashlib.sha256()
    for module in sorted(modules):
        digest.update(f"{module.relative_to(folder).as_posix()}\n{_bare_code(module)}\n".encode())
    return digest.hexdigest()[:16]


@functools.cache
def _bare_code(path: Path) -> str:
    """The source text without comments, docstrings, blank lines and trailing blanks.

    Cut out of the text by position, not printed from the syntax tree: the printed form differs between Python versions.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(text)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            for row in range(docstring.lineno, docstring.end_lineno + 1):
                lines[row - 1] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())
