"""Text of a configuration stays text: whatever it says, no shell and no Snakemake takes it for a command or a wildcard."""

import copy
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from advtransfer.config.start import choose
from advtransfer.config.values import LONGEST_LINE
from advtransfer.errors import InputError
from experiments import PROJECT, read_config

# Each would make a file named canary, were it run; and it is a file name.
HOSTILE = "a b'c\"d $(touch canary) `touch canary`; touch canary & {source} {x} %s \\ * ~ é 中 #"
# Snakemake would take its braces for wildcards.
HOSTILE_INPUT = HOSTILE.translate({ord("{"): "(", ord("}"): ")"})
REFUSED = {
    "line break": "x\ntouch canary\n",
    "trailing line break": "demo\n",
    "carriage return": "x\rtouch canary",
    "zero byte": "x\0y",
    "escape": "\x1b[31mred",
    "half a surrogate pair": "x\ud800",
    "line separator": "x\u2028y",
    "empty": "",
}
# Where a configuration may say anything: what a person reads, where files lie, and classes, which are called as their folders are.
FREE = r"mirror|(sources|targets)\.\w+\.(label|path|data_root)|targets\.\w+\.parts\.\w+\.\d+|style\.\w+\.[\w.]+"
SCHEMA = PROJECT / "rules" / "config.schema.yaml"


def shell_fields() -> list[tuple[str, str]]:
    """(file, field) of everything in braces in the shell commands of the rules."""
    found = []
    for file in sorted((PROJECT / "rules").glob("*.smk")):
        for command in re.findall(r"^    shell:\n((?:        .*\n)+)", file.read_text(encoding="utf-8"), re.M):
            found += [(file.name, field) for field in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command)]
    return found


def test_every_field_of_a_shell_command_is_quoted():
    """{threads} is Snakemake's number; LOGGED and the options of common.smk quote by themselves."""
    fields = shell_fields()
    assert len(fields) > 80
    options = re.findall(
        r"^        (\w+)=lambda [^:]*: options\(",
        "".join(file.read_text(encoding="utf-8") for file in (PROJECT / "rules").glob("*.smk")),
        re.M,
    )
    assert set(options) == {"more", "hash", "dataset"}
    own = {"threads", "LOGGED", *(f"params.{name}" for name in options)}
    assert [field for field in fields if not field[1].endswith(":q") and field[1] not in own] == []
    common = (PROJECT / "rules" / "common.smk").read_text(encoding="utf-8")
    assert "{log}" not in common
    assert "shlex.quote(str(value))" in common


def config_with_every_string() -> dict:
    """The project's configuration with the optional strings added."""
    config = read_config()
    config["mirror"] = "folder"
    config["style"] = {"fig2": {"font.family": "serif"}}
    config["targets"]["leaves"] = {"kind": "image_folder", "path": "leaves", "label": "Leaves", "test_share": 0.5}
    config["targets"]["mnist"]["data_root"] = "data"
    config["targets"]["digits"]["label"] = "Digits"
    config["targets"]["glyphs"]["label"] = "Glyphs"
    for source in config["sources"].values():
        source["label"] = "label"
    config["experiments"]["demo"]["epsilon"] = {"family": "mini"}
    config["experiments"]["demo"]["influence"] |= {"target": "digits", "test_images": "all"}
    config["experiments"]["demo"]["visualisation"] = {"target": "digits"}
    config["robustness"]["test_data"]["mini"] = "digits"
    return config


def strings(value, path=()) -> list[tuple]:
    """The paths of all strings of a configuration."""
    if isinstance(value, str):
        return [path]
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in below for found in strings(item, (*path, key))]


def put(config, path, text):
    config = copy.deepcopy(config)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = text
    return config


def finding(config) -> str | None:
    """What is wrong with a configuration; None if nothing is."""
    try:
        choose(config, SCHEMA)
    except InputError as error:
        line = str(error)
    else:
        return None
    assert line.isprintable()
    assert len(line) <= LONGEST_LINE
    return line


@pytest.fixture(scope="module")
def complete():
    return config_with_every_string()


def test_every_string_is_refused_or_free_text(complete):
    """Each string of the configuration in turn: what may hold anything is a short list, all else is refused in one line."""
    choose(complete, SCHEMA)
    free = set()
    places = strings(complete)
    assert len(places) > 200
    for index, path in enumerate(places):
        name = ".".join(map(str, path))
        hostile = HOSTILE_INPUT if re.fullmatch(r"sources\.\w+\.path", name) else HOSTILE
        if finding(put(complete, path, hostile)) is None:
            free.add(name)
        # What no string may hold is one pattern: each place gets one of these texts, in turn.
        what, text = list(REFUSED.items())[index % len(REFUSED)]
        assert finding(put(complete, path, text)) is not None, f"{name}: {what}"
    assert [name for name in sorted(free) if not re.fullmatch(FREE, name)] == []
    for name in ("mirror", "sources.mini_l2.path", "targets.leaves.path", "targets.mnist.data_root"):
        assert name in free


def test_every_key_that_is_a_name_is_refused(complete):
    assert "without braces" in finding(put(complete, ("sources", "mini_l2", "path"), "{source}.safetensors"))
    for section in ("sources", "targets", "protocols", "experiments", "seed_schedules", "style"):
        for text in (HOSTILE, "demo\n", "a" * 65, "a" * 20, "ab" * 30, ""):
            config = copy.deepcopy(complete)
            config[section][text] = next(iter(config[section].values()))
            assert finding(config)


def test_a_download_is_a_plain_file_name(complete):
    for text in (
        "..",
        ".",
        ".hidden",
        "a/b",
        "../x",
        "-x",
        "a b",
        "$(touch canary)",
        "`x`",
        "x;y",
        "é",
        "x\n",
        "a" * 101,
    ):
        for path in (("sources", "natural", "file"), ("published", "april", "url")):
            text_here = text if path[1] != "url" else f"https://example.org/{text}"
            if text in ("a/b", "../x") and path[1] == "url":
                continue
            assert finding(put(complete, path, text_here))


TINY = """\
experiment: odd
mirror: null
protocols:
  demo: {epochs: [{epochs: 1, evaluate_every: 1}]}
experiments:
  odd:
    protocol: demo
    sources: {natural: mini_natural, robust: mini_l2}
    targets: [leaves]
    images: [10]
    seeds: 2
    blocks: [3]
"""


@pytest.fixture
def odd(fresh):
    """A project whose sources, image folder, labels and mirror have hostile names; and the arguments that choose it."""
    import yaml

    folder = fresh.folder
    # One name begins like an option.
    paths = {
        "mini_natural": f"{HOSTILE_INPUT}/{HOSTILE_INPUT}.safetensors",
        "mini_l2": "-o $(touch canary).safetensors",
    }
    for source, path in paths.items():
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.move(folder / "resources/sources" / f"{source.removeprefix('mini_')}.safetensors", folder / path)
    rng = np.random.default_rng(0)
    for name in (f"oak {HOSTILE}", "-ash; touch canary"):
        (folder / HOSTILE / "leaves" / name).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / HOSTILE / "leaves" / name / f"{index} {HOSTILE}.png")
    config = yaml.safe_load(TINY)
    label = f"$x^{{ {HOSTILE}"
    config["sources"] = {source: {"path": path, "label": f"{source} {label}"} for source, path in paths.items()}
    config["targets"] = {
        "leaves": {"kind": "image_folder", "path": f"{HOSTILE}/leaves", "test_share": 0.3, "label": f"leaves {label} $"}
    }
    config["mirror"] = HOSTILE
    config["style"] = {"all": {"font.family": "sans-serif"}}
    (folder / f"{HOSTILE}.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    return fresh, ["--configfile", f"{HOSTILE}.yaml"]


def test_files_of_any_name_are_read_and_nothing_of_them_is_run(odd):
    """A checkpoint, an image folder and labels with blanks, quotes, $(), backquotes, braces and other letters: to the figure."""
    checkout, arguments = odd
    outputs = ["figures/fig2.pdf", "figures/table1.md", "figures/table3.csv", "figures/table4.csv", "figures/table5.md"]
    made = checkout.snakemake(*outputs, "list", "progress", "results/tables/odd/fig9.csv", *arguments).stdout
    assert "Experiment odd, protocol demo" in made
    for file in (
        "results/sources/mini_natural.safetensors",
        "results/sources/mini_l2.safetensors",
        "results/targets/leaves.safetensors",
        "results/subsets/leaves/n10.parquet",
        *outputs,
    ):
        assert (checkout.folder / file).stat().st_size > 0
    assert HOSTILE in (checkout.folder / "figures/table3.csv").read_text(encoding="utf-8").replace('""', '"')
    # A download that fails, by way of a mirror that is no folder and an address that nobody answers.
    address = "http://127.0.0.1:9/$(touch${IFS}canary)`touch${IFS}canary`;'\"é{file}"
    (checkout.folder / "gone.yaml").write_text(
        f"mirror: \"-m $(touch canary)\"\nsources: {{linf_8: {{url: '{address.replace(chr(39), chr(39) * 2)}'}}}}\n",
        encoding="utf-8",
    )
    result = checkout.snakemake("results/downloads/imagenet_linf_8.pt", "--configfile", "gone.yaml", check=False)
    assert "imagenet_linf_8.pt: could not be fetched from" in result.stdout
    assert checkout.planned(*outputs, *arguments) == {}
    # What was not run is planned.
    assert {"features", "influence", "visualise", "influence_table"} <= set(checkout.planned(*arguments))
    assert not list(checkout.folder.rglob("canary*"))
