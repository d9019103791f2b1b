"""What counts as a change of code."""

import pytest

from advtransfer.provenance import code_of


@pytest.fixture
def scripts(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "used.py").write_text(
        '"""Docs."""\n\n\ndef f(x):\n    """More."""\n    return "# no comment", x\n'
    )
    (tmp_path / "package" / "lazy.py").write_text("VALUE = 1\n")
    (tmp_path / "package" / "unused.py").write_text("VALUE = 1\n")
    (tmp_path / "main.py").write_text(
        "import torch\nfrom package.used import f\n\n\ndef main():\n    from package.lazy import VALUE\n    f(VALUE)\n"
    )

    def hash_after(file="main.py", old="", new=""):
        path = tmp_path / file
        path.write_text(path.read_text().replace(old, new) if old else path.read_text() + new)
        code_of.cache_clear()
        from advtransfer import provenance

        provenance._bare_code.cache_clear()
        return code_of("main.py", folder=tmp_path)

    return hash_after


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("package/used.py", "return", "return 1,", True),
        ("package/used.py", "# no comment", "# another string", True),
        ("package/lazy.py", "1", "2", True),
        ("main.py", "f(VALUE)", "f(-VALUE)", True),
        ("package/unused.py", "1", "2", False),
        ("package/used.py", "Docs.", "Other docs.", False),
        ("package/used.py", "More.", "More\n    lines.", False),
        ("package/used.py", "", "# a comment at the end\n", False),
        ("main.py", "f(VALUE)", "f(VALUE)  # why", False),
        ("main.py", "\n\n\ndef", "\n\ndef", False),
    ],
)
def test_code_counts_and_words_do_not(scripts, file, old, new, changes):
    before = scripts()
    assert len(before) == 16
    assert (scripts(file, old, new) != before) == changes


def test_transfers_do_not_depend_on_attacks_and_drawing_not_on_torch_code():
    from modulefinder import ModuleFinder

    from advtransfer.provenance import SCRIPTS

    def modules(script):
        finder = ModuleFinder(path=[str(SCRIPTS)])
        finder.run_script(str(SCRIPTS / script))
        return {*finder.modules, *finder.badmodules}

    assert not {"advtransfer.attacks", "advtransfer.sources", "advtransfer.config.resolve"} & modules("transfer.py")
    for script in ("table.py", "figures/fig2.py", "published_rows.py", "download.py"):
        assert not {"advtransfer.models", "advtransfer.transfer", "torchvision", "kornia"} & modules(script), script
