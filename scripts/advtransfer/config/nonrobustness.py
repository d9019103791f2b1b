"""What the study of transferred non-robustness computes: which networks of an experiment it attacks, and how. No torch here.

Arms are the ways to a network of a target: "standard", trained from scratch on the same images; "fine_tuned" from a source; and "mitigated",
fine-tuned from the natural source with discrepancy mitigation (`config.mitigation`). The resolved form, a JSON-compatible dict under the key
"nonrobustness" of a resolved experiment (see `grid`), null where it does not ask for the study:

    protocol           str, how the fine-tuned networks are trained
    mitigated          {protocol: {"beta", "epsilon", "steps"}}, the same with mitigation, by rising beta
    recipe             str, how the standard networks are trained: a key of `reference_networks`
    natural            str, the natural source, whose architecture the standard networks have
    sources            [source], by role
    sizes              {target: training images}
    blocks             int, trained in the fine-tuned networks
    seeds              [int]
    test_images        int, attacked ones
    autoattack_images  int, of these, that AutoAttack tries as well; 0 for none
    shown              float, the radius of AutoAttack and of panels that show one
    attack             {"norm", "epsilons": [radius, ...], ascending and without 0, "steps", "restarts", "seed"}
    features           {"images", "variance", "epsilon", "steps", "draws"}: see `studies.nonrobustness_features`
    robust             str or null, the source in the role "robust"
    curve              {"protocol", "sources", "blocks", "sizes": {target: [images, ...]}, "seeds", "epsilon"}: the networks of figure 2
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from advtransfer.config.grid import chunks
from advtransfer.config.mitigation import with_mitigation
from advtransfer.config.transferability import REFERENCE
from advtransfer.config.values import parse_epsilon, require_known
from advtransfer.errors import InputError

ROWS = "results/nonrobustness/{part}/{way}/{source}/{target}/{trained}_n{images}/seeds{first}-{last}.parquet"
NETWORKS = (
    "results/nonrobustness_networks/{way}/{source}/{target}/blocks{blocks}_n{images}/seeds{first}-{last}.safetensors"
)
FEATURES_ROWS = "results/nonrobustness_features/{way}/{source}/{target}/n{images}/seeds{first}-{last}.parquet"
# {figure: the parts that it shows}; a part's networks are attacked alike.
FIGURES = {"nonrobustness": ("standard", "fine_tuned"), "fig2_robust": ("curve",)}
FEATURES = "nonrobustness_features"
PARTS = ("standard", "fine_tuned", "curve")
NO_NETWORKS = "has no networks to attack: its rows are published"
NOT_ASKED = "does not ask for it. Add 'nonrobustness', such as {test_images: 500}, to an experiment that trains"


@dataclass(frozen=True)
class Attacked:
    """The networks that one job attacks: seeds of one way to a network of a target. way: a protocol, or a recipe of reference networks."""

    part: str
    arm: str
    way: str
    source: str
    target: str
    images: int
    blocks: int | None
    seeds: tuple[int, ...]
    files: tuple[str, ...]

    def models(self) -> dict[int, str]:
        """{seed: the file that holds its network}; a file of fine-tuned networks holds those of several."""
        return dict(zip(self.seeds, self.files, strict=True))


@dataclass(frozen=True)
class Trained:
    """The networks that one job fine-tunes: some seeds, with so many trained blocks, from a source by a protocol."""

    protocol: str
    source: str
    target: str
    blocks: int
    images: int
    seeds: tuple[int, ...]

    def told(self, protocol: Mapping[str, Any]) -> dict[str, Any]:
        """All that the job is told, JSON-compatible. protocol: resolved at this size."""
        cell = {"protocol": self.protocol, "source": self.source, "target": self.target, "blocks": self.blocks}
        return {**cell, "images": self.images, "seeds": list(self.seeds), "settings": protocol}


def check_nonrobustness(settings: Mapping[str, Any], config: Mapping[str, Any], key: str) -> None:
    """Refuse, with an InputError, names that are not known, radii without meaning, and mitigated protocols that differ in more than mitigation.

    settings: the whole settings of an experiment, or the defaults; key: where they stand.
    """
    protocols = config["protocols"]
    require_known(settings["protocol"], protocols, f"{key}.protocol", "protocol")
    require_known(settings["recipe"], config["reference_networks"], f"{key}.recipe", "recipe of reference networks")
    plain = with_mitigation(protocols[settings["protocol"]])
    if "mitigation" in plain:
        raise InputError(
            f"config: {key}.protocol: '{settings['protocol']}' has mitigation itself. Give the plain protocol, and this one under 'mitigated'."
        )
    for name in settings["mitigated"]:
        require_known(name, protocols, f"{key}.mitigated", "protocol")
        mitigated = with_mitigation(protocols[name])
        if "mitigation" not in mitigated:
            raise InputError(
                f"config: {key}.mitigated: '{name}' has no mitigation. Give it a 'mitigation' with a beta above 0, or leave it out."
            )
        differing = [one for one in plain | mitigated if plain.get(one) != mitigated.get(one) and one != "mitigation"]
        if differing:
            raise InputError(
                f"config: {key}.mitigated: '{name}' differs from '{settings['protocol']}' in '{differing[0]}' too, so that they cannot be compared. "
                "Make them equal but for 'mitigation'."
            )
    radii = [parse_epsilon(epsilon, f"{key}.epsilons") for epsilon in settings["epsilons"]]
    wrong = [epsilon for epsilon, radius in zip(settings["epsilons"], radii, strict=True) if not 0 < radius <= 1]
    if wrong:
        raise InputError(
            f"config: {key}.epsilons: found {wrong[0]}. Give Linf radii above 0 and up to 1, such as 1/255; 0 is always shown."
        )
    universal = settings["features"]["epsilon"]
    if not 0 < parse_epsilon(universal, f"{key}.features.epsilon") <= 1:
        raise InputError(
            f"config: {key}.features.epsilon: found {universal}. Give an Linf radius above 0 and up to 1, such as 8/255."
        )
    if parse_epsilon(settings["shown"], f"{key}.shown") not in radii:
        raise InputError(
            f"config: {key}.shown: found {settings['shown']}, which is not among 'epsilons'. Choose one of them."
        )


def resolve_nonrobustness(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> dict[str, Any] | None:
    """The resolved form (see the module) for an experiment, itself resolved; None where it asks for none, or its rows are published.

    Raises InputError where a choice does not fit.
    """
    name = experiment["name"]
    own = config["experiments"][name].get("nonrobustness")
    if experiment["rows"] is not None or own is None:
        return None
    settings = {**config["nonrobustness"], **own}
    settings["features"] = {**config["nonrobustness"]["features"], **own.get("features", {})}
    key = f"config: experiments.{name}.nonrobustness"
    if settings["seeds"] > len(config["seeds"]):
        raise InputError(
            f"{key}.seeds: found {settings['seeds']}, but 'seeds' lists {len(config['seeds'])}. Lower it or list more seeds."
        )
    sizes = {}
    for target in experiment["targets"] if settings["targets"] == "all" else settings["targets"]:
        require_known(
            target, experiment["targets"], f"experiments.{name}.nonrobustness.targets", "target of the experiment"
        )
        pairs = experiment["sizes"][target]
        have = [images for images, _ in pairs]
        sizes[target] = have[-1] if settings["images"] == "largest" else settings["images"]
        if sizes[target] not in have:
            raise InputError(
                f"{key}.images: found {sizes[target]}. Choose one of: {', '.join(map(str, have))}, or 'largest'."
            )
    mitigated = {name: with_mitigation(config["protocols"][name])["mitigation"] for name in settings["mitigated"]}
    selection, seeds = experiment["figures"]["fig2"], config["seeds"][: settings["seeds"]]
    return {
        "protocol": settings["protocol"],
        "mitigated": dict(sorted(mitigated.items(), key=lambda pair: pair[1]["beta"])),
        "recipe": settings["recipe"],
        "natural": experiment["sources"]["natural"],
        "sources": list(experiment["sources"].values()),
        "sizes": sizes,
        "blocks": settings["blocks"],
        "seeds": seeds,
        "test_images": settings["test_images"],
        "autoattack_images": settings["autoattack_images"],
        "shown": parse_epsilon(settings["shown"]),
        "attack": {
            "norm": "linf",
            "epsilons": sorted({parse_epsilon(epsilon) for epsilon in settings["epsilons"]}),
            **{key: settings[key] for key in ("steps", "restarts", "seed")},
        },
        "robust": experiment["sources"].get("robust"),
        "features": {
            **{name: settings["features"][name] for name in ("images", "variance", "steps", "draws")},
            "epsilon": parse_epsilon(settings["features"]["epsilon"]),
        },
        "curve": {
            "protocol": experiment["protocol"],
            "sources": [experiment["sources"][role] for role in selection["roles"] if role in experiment["sources"]],
            "blocks": selection["blocks"][0],
            "sizes": {target: [images for images, _ in pairs] for target, pairs in experiment["sizes"].items()},
            "seeds": seeds,
            "epsilon": parse_epsilon(settings["shown"]),
        },
    }


def _arms(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """(part, arm, way, source) of each arm."""
    yield "standard", "standard", settings["recipe"], settings["natural"]
    for source in settings["sources"]:
        yield "fine_tuned", "fine_tuned", settings["protocol"], source
    for protocol in settings["mitigated"]:
        yield "fine_tuned", "mitigated", protocol, settings["natural"]


def _cells(experiment: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str, int, int | None]]:
    """(part, arm, way, source, target, images, blocks) of all networks that the study attacks; blocks is None from scratch."""
    settings = experiment["nonrobustness"]
    if settings is None:
        return
    for arm in _arms(settings):
        for target, images in settings["sizes"].items():
            yield *arm, target, images, None if arm[0] == "standard" else settings["blocks"]
    curve = settings["curve"]
    for source in curve["sources"]:
        for target, sizes in curve["sizes"].items():
            for images in sizes:
                yield "curve", "fine_tuned", curve["protocol"], source, target, images, curve["blocks"]


def trained(experiment: Mapping[str, Any]) -> Iterator[tuple[str, Trained]]:
    """(file of networks, what its job fine-tunes) of a resolved experiment; nothing without the study."""
    for _, _, way, source, target, images, blocks in _cells(experiment):
        if blocks is not None:
            seeds = experiment["nonrobustness"]["seeds"]
            for first, last in chunks(len(seeds), images, experiment["seeds_per_job"]):
                cell = {"way": way, "source": source, "target": target, "blocks": blocks, "images": images}
                job = Trained(way, source, target, blocks, images, tuple(seeds[first : last + 1]))
                yield NETWORKS.format(**cell, first=first, last=last), job


def attacked(experiment: Mapping[str, Any], *parts: str) -> Iterator[tuple[str, Attacked]]:
    """(file of rows, the networks that its job attacks) of some parts of a resolved experiment, or all; nothing without the study."""
    files = {
        (job.protocol, job.source, job.target, job.images, job.blocks, seed): file
        for file, job in trained(experiment)
        for seed in job.seeds
    }
    for part, arm, way, source, target, images, blocks in _cells(experiment):
        if part in (parts or PARTS):
            seeds, place = experiment["nonrobustness"]["seeds"], {"source": source, "target": target, "images": images}
            # As at the smallest size: these jobs train nothing.
            for first, last in chunks(len(seeds), 1, experiment["seeds_per_job"]):
                some = tuple(seeds[first : last + 1])
                if blocks is None:
                    models = tuple(REFERENCE.format(recipe=way, seed=seed, **place) for seed in some)
                else:
                    models = tuple(files[way, source, target, images, blocks, seed] for seed in some)
                rows = "all" if blocks is None else f"blocks{blocks}"
                file = ROWS.format(part=part, way=way, **place, trained=rows, first=first, last=last)
                yield file, Attacked(part, arm, way, source, target, images, blocks, some, models)


def trained_by(experiment: Mapping[str, Any], wildcards: Mapping[str, str]) -> Trained:
    """The networks that the job of a file of networks, given by the wildcards of its path, fine-tunes; InputError where there is none."""
    file = NETWORKS.format(**wildcards)
    try:
        return dict(trained(experiment))[file]
    except KeyError:
        raise InputError(
            f"{file}: experiment '{experiment['name']}' fine-tunes no such networks. See 'nonrobustness' in config.yaml."
        ) from None


def attacked_by(experiment: Mapping[str, Any], wildcards: Mapping[str, str]) -> Attacked:
    """The networks that the job of a file of rows, given by the wildcards of its path, attacks.

    Raises InputError where the experiment has no such job.
    """
    file = ROWS.format(**wildcards)
    try:
        return dict(attacked(experiment))[file]
    except KeyError:
        raise InputError(
            f"{file}: experiment '{experiment['name']}' attacks no such networks. See 'nonrobustness' in config.yaml."
        ) from None


def attacked_models(experiment: Mapping[str, Any], wildcards: Mapping[str, str]) -> list[str]:
    """Where the networks lie that the job of a file of rows attacks, in the order of their seeds; see `attacked_by`."""
    return list(attacked_by(experiment, wildcards).models().values())


def row_settings(experiment: Mapping[str, Any], job: Attacked) -> dict[str, Any]:
    """All that the job of a file of rows is told, JSON-compatible."""
    settings = experiment["nonrobustness"]
    curve = job.part == "curve"
    attack = {**settings["attack"], "epsilons": [settings["curve"]["epsilon"]]} if curve else settings["attack"]
    mitigation = settings["mitigated"].get(job.way, {}) if job.arm == "mitigated" else {}
    return {
        **{"arm": job.arm, "way": job.way, "source": job.source, "target": job.target, "blocks": job.blocks},
        **{"images": job.images, "beta": mitigation.get("beta", 0.0), "seeds": list(job.seeds)},
        **{"test_images": settings["test_images"], "attack": attack, "autoattack_epsilon": settings["shown"]},
        "autoattack_images": 0 if curve else settings["autoattack_images"],
    }


@dataclass(frozen=True)
class Compared:
    """The networks that one job compares, for some seeds of a target; names as figures have them: {name: its file, by seed}."""

    target: str
    images: int
    seeds: tuple[int, ...]
    networks: Mapping[str, tuple[str, ...]]


def compared(experiment: Mapping[str, Any]) -> Iterator[tuple[str, Compared]]:
    """(file of rows, the networks that its job compares) of a resolved experiment; nothing without the study."""
    settings = experiment["nonrobustness"]
    if settings is None:
        return
    jobs = [job for _, job in attacked(experiment, "standard", "fine_tuned")]
    strongest = list(settings["mitigated"])[-1:]
    names = {("standard", settings["recipe"], settings["natural"]): "standard"}
    names |= {("fine_tuned", settings["protocol"], settings["natural"]): "fine_tuned"}
    names |= {("mitigated", way, settings["natural"]): "mitigated" for way in strongest}
    sources = {"natural": settings["natural"]}
    if settings["robust"]:
        names |= {("fine_tuned", settings["protocol"], settings["robust"]): "robust_fine_tuned"}
        sources["robust"] = settings["robust"]
    for target, images in settings["sizes"].items():
        for first, last in chunks(len(settings["seeds"]), 1, experiment["seeds_per_job"]):
            seeds = tuple(settings["seeds"][first : last + 1])
            networks = {
                name: (f"results/sources/{source}.safetensors",) * len(seeds) for name, source in sources.items()
            }
            for job in jobs:
                name = names.get((job.arm, job.way, job.source))
                if name and job.target == target and job.seeds == seeds:
                    networks[name] = tuple(job.models().values())
            cell = {"way": settings["protocol"], "source": settings["natural"], "target": target, "images": images}
            yield FEATURES_ROWS.format(**cell, first=first, last=last), Compared(target, images, seeds, networks)


def compared_by(experiment: Mapping[str, Any], wildcards: Mapping[str, str]) -> Compared:
    """The networks that the job of a file of rows, given by the wildcards of its path, compares; InputError where there is none."""
    file = FEATURES_ROWS.format(**wildcards)
    try:
        return dict(compared(experiment))[file]
    except KeyError:
        raise InputError(
            f"{file}: experiment '{experiment['name']}' compares no such networks. See 'nonrobustness' in config.yaml."
        ) from None


def compared_models(job: Compared) -> list[str]:
    """Where the networks lie that a job compares: of each seed all, in the order of their names."""
    return [files[index] for index in range(len(job.seeds)) for files in job.networks.values()]


def feature_settings(experiment: Mapping[str, Any], job: Compared) -> dict[str, Any]:
    """All that the job of a file of rows of compared networks is told, JSON-compatible."""
    settings = experiment["nonrobustness"]
    pairs = [("natural", "fine_tuned"), ("natural", "mitigated"), ("natural", "standard"), ("fine_tuned", "standard")]
    pairs.append(("robust", "robust_fine_tuned"))
    crafted = [name for name in ("natural", "robust") if name in job.networks]
    return {
        **{"target": job.target, "images": job.images, "seeds": list(job.seeds), "networks": list(job.networks)},
        "images_compared": settings["features"]["images"],
        "pairs": [list(pair) for pair in pairs if set(pair) <= set(job.networks)],
        "measures": {
            **{name: settings["features"][name] for name in ("variance", "epsilon", "steps", "draws")},
            **{"crafted": crafted, "seed": settings["attack"]["seed"]},
            "perturbed": [name for name in job.networks if name not in crafted],
        },
    }


def missing(experiment: Mapping[str, Any]) -> str:
    """Why an experiment has no networks to attack, in words that follow "the experiment"; empty where it has some."""
    if experiment["nonrobustness"] is not None:
        return ""
    return NO_NETWORKS if experiment["rows"] else NOT_ASKED


def row_files(experiment: Mapping[str, Any], figure: str) -> list[str]:
    """The files of rows that a figure's table is made of. Raises InputError where the experiment has no networks to attack."""
    words = missing(experiment)
    if words:
        raise InputError(f"figures/{figure}.pdf: experiment '{experiment['name']}' {words}.")
    if figure == FEATURES:
        return [file for file, _ in compared(experiment)]
    return [file for file, _ in attacked(experiment, *FIGURES[figure])]
