"""What merging configuration files would hide."""

import pytest

from advtransfer.config.files import check_files
from advtransfer.errors import InputError
from experiments import PROJECT


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "mine.yaml",
            "experiments:\n  a:\n    images: [50]\n    seeds: 3\n    images: [100]\n",
            "config: mine.yaml, line 5: key 'images' is given twice, first in line 3. Remove one.",
        ),
        ("mine.yaml", "a: [{x: 1, 'x': 2}]", "config: mine.yaml, line 1: key 'x' is given twice, first in line 1. Remove one."),
        ("mine.yaml", "? a\n: 1\na: 2\n", "config: mine.yaml, line 3: key 'a' is given twice, first in line 1. Remove one."),
        ("mine.json", '{"a": {"b": 1, "b": 2}}', "config: mine.json: key 'b' is given twice. Remove one."),
        (
            "mine.yaml",
            "a: &a [x, x]\n" + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcde", "bcdef", strict=True)),
            "config: mine.yaml: its aliases (*name) stand for more than 20,000 values. Use fewer of them.",
        ),
        ("mine.yaml", "a: &a [*a]", "config: mine.yaml: its aliases (*name) stand for more than 20,000 values. Use fewer of them."),
    ],
)  # fmt: skip
def test_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        check_files([tmp_path / name])
    assert str(error.value) == message


def test_allowed(tmp_path):
    """The same key in two places or two files, aliases, merged keys, JSON, an empty file; what is no file is left out."""
    (tmp_path / "one.yaml").write_text("a: &a {x: 1, y: {x: 2}}\nb: {<<: *a, x: 3}\nc: [*a, *a]\n1: 2\n'1': 3\n")
    (tmp_path / "two.yaml").write_text("")
    (tmp_path / "three.json").write_text('{"a": [{"x": 1}, {"x": 2}]}')
    check_files([PROJECT / "config.yaml", *sorted(tmp_path.iterdir()), tmp_path / "pipe", tmp_path])
