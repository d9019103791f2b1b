"""Figures drawn from made-up tables, and what tests ask of them."""

import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import experiments
from advtransfer.artefacts import save_table
from advtransfer.config.claims import VERDICTS
from advtransfer.config.columns import (
    BOUND_ROWS,
    CLAIMS,
    INFLUENCE_CUT_ROWS,
    NONROBUSTNESS_FEATURES,
    NONROBUSTNESS_ROWS,
    SYNTHETIC_MEANS,
    TRANSFERABILITY_ROWS,
)
from advtransfer.tables.accuracy import ROW_COLUMNS, compare
from advtransfer.tables.claims import compared as tabulate_compared
from advtransfer.tables.influence_cut import influence_cut as tabulate_cut
from advtransfer.tables.nonrobustness import nonrobustness as tabulate_arms
from advtransfer.tables.reproduction import reproduction as tabulate_reproduction
from advtransfer.tables.resolution import resolution as tabulate_resolution
from advtransfer.tables.robustness_bound import robustness_bound as tabulate_bound
from advtransfer.tables.transferability_networks import compare as tabulate_transferability
from experiments import selections
from figures import (
    claims,
    claims_compared,
    epsilon,
    fig1,
    fig2,
    fig2_robust,
    fig3,
    fig4,
    fig5,
    fig6,
    fig7,
    fig9,
    fig10,
    influence_cut,
    networks,
    nonrobustness,
    nonrobustness_features,
    reproduction,
    resolution,
    robustness_bound,
    style,
    transferability,
    transferability_sources,
    transferability_synthetic,
)

FROM_ROWS = {"fig2": fig2, "fig3": fig3, "fig4": fig4, "fig5": fig5, "fig10": fig10, "epsilon": epsilon}


def an_experiment(**changes) -> dict:
    targets = changes.get("targets", ["leaves", "stones"])
    return {
        "name": "trial",
        "protocol": "short",
        "sources": {"natural": "plain", "robust": "l2", "linf_small": "small", "linf_large": "large"},
        "targets": targets,
        "labels": {
            "plain": "natural",
            "l2": "L2",
            "small": "L∞ 2",
            "large": "L∞ 4",
            "leaves": "Leaves",
            "stones": "Stones",
        },
        "sizes": {target: [[100, 3], [200, 3], [400, 3]] for target in targets},
        "epochs": dict.fromkeys(
            map(str, [*range(100, 600, 100), *(100 * 2**power for power in range(11)), 50_000, 52_000, 73_257]), 20
        ),
        "cell_seeds": [],
        "resolution": None,
        "blocks": [0, 1, 3, 9],
        "fig3": {"images": 400, "epochs": [1, 11, 20]},
        "epsilon": {
            "sources": [
                {"source": "plain", "norm": None, "epsilon": 0.0},
                {"source": "l2", "norm": "l2", "epsilon": 0.5},
                {"source": "small", "norm": "linf", "epsilon": 2 / 255},
                {"source": "large", "norm": "linf", "epsilon": 4 / 255},
            ],
            "images": [100, 400],
        },
        "figures": selections(targets),
        "bands": "t",
        "rows": None,
        "seeds_per_job": [[1000, 5, False]],
    } | changes


def rows_of(experiment: dict) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    lines = [
        [
            "short",
            source,
            target,
            blocks,
            images,
            seed,
            epoch,
            0.5 + rng.uniform(0, 0.3) + epoch / 100,
            1.0,
            0.1,
            0.1,
            2.0,
        ]
        for source in experiment["sources"].values()
        for target in experiment["targets"]
        for blocks in experiment["blocks"]
        for images, models in experiment["sizes"][target]
        for seed in range(models)
        for epoch in (1, 11, 20)
    ]
    return pd.DataFrame(lines, columns=ROW_COLUMNS)


def table_of(figure: str, rows: pd.DataFrame, experiment: dict, folder: Path) -> pd.DataFrame:
    """A figure's table as it is read."""
    save_table(folder / f"{figure}.csv", compare(rows, experiment, figure))
    return style.read_table(str(folder / f"{figure}.csv"))


def drawing(figure: str, rows: pd.DataFrame, experiment: dict, folder: Path, width: float = style.WIDTH) -> plt.Figure:
    style.set_theme({}, width)
    mine = {**experiment, "figures": {figure: experiment["figures"][figure]}}
    drawn = FROM_ROWS[figure].draw(table_of(figure, rows, experiment, folder), mine)
    drawn.canvas.draw()
    return drawn


def panel(figure: plt.Figure, title: str, which: int = 0) -> plt.Axes:
    return [ax for ax in figure.axes if ax.get_title() == title][which]


def lines_of(ax: plt.Axes) -> dict[str, plt.Line2D]:
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def ticks_of(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels() if label.get_text()]


def texts_of(figure: plt.Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


LOOKED = {
    "target": "leaves",
    "images": 60,
    "blocks": 3,
    "seed": 7,
    "seeds": [7, 8, 9],
    "sources": {"natural": "plain", "robust": "l2"},
    "head": "fine_tuned",
    "ridge": 1,
    "pinv_rcond": 0.05,
    "damping": 0,
    "self_influence": "excluded",
    "test_images": 30,
}
NETWORKS_EXPERIMENT = {
    "name": "trial",
    "protocol": "short",
    "sources": {"natural": "plain", "robust": "l2"},
    "targets": ["leaves"],
    "labels": {"plain": "natural", "l2": "L2, ε = 3", "leaves": "Leaves"},
    "influence": LOOKED,
    "influence_cut": {**LOOKED, "halves": 100},
    "visualisation": {**LOOKED, "blocks": 0, "units": [3, 9], "steps": 10, "step_size": 2},
    "bands": "t",
}
NAMES = ["oak", "a class with a long name", "ash", "elm", "yew", "fir", "fig", "bay", "box", "asp"]
SHORTENED = [NAMES[0], "a class wi…", *NAMES[2:]]


def pictures():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 10, 3, 8, 8), dtype=np.uint8)
    labels = [list(range(10)), [0, 1, 2, 3, 4, 9, 9, 9, 9, 9], [9] * 10]
    return {"images": images}, {"rows": ["test image", "robust", "natural"], "labels": labels, "class_names": NAMES}


def influence_matrices():
    rng = np.random.default_rng(0)
    arrays = {
        f"{role}_{queries}": rng.standard_normal((rows, 60)).astype(np.float32)
        for role in ("robust", "natural")
        for queries, rows in (("train", 60), ("test", 30))
    }
    edges = {"train": [0.1 * (1 + i) for i in range(10)], "test": [0.05, *(0.15 + 0.1 * i for i in range(8)), 1.0]}
    return arrays, {"edges": edges, "sizes": {"train": 60, "test": 30}, "class_names": NAMES}


def visualisations():
    rng = np.random.default_rng(0)
    arrays = {"starts": rng.random((3, 3, 32, 32), dtype=np.float32)}
    for role in ("natural", "robust"):
        arrays[f"{role}_images"] = rng.random((2, 3, 3, 32, 32), dtype=np.float32)
        arrays[f"{role}_activations"] = np.stack([np.zeros((2, 3)), np.full((2, 3), 4.5)], -1).astype(np.float32)
    return arrays, {"starts": ["photograph 1", "photograph 2", "noise"]}


def shares(ways=("",), networks=1):
    ends = (0.1, 0.05) if networks > 1 else (np.nan, np.nan)
    lines = [
        [queries, role, rank, share / rank, 30, 60, 0.1, share / rank - ends[0], share / rank + ends[1], networks, way]
        for way in ways
        for queries in ("train", "test")
        for role, share in (("robust", 0.8), ("natural", 0.5))
        for rank in range(1, 60)
    ]
    columns = ["queries", "role", "rank", "same_class_share", "query_images", "train_images", "chance"]
    columns += ["low", "high", "networks", "through"]
    table = pd.DataFrame(lines, columns=columns)
    return table if ways != ("",) else table.drop(columns="through")


def schematic():
    lines = []
    for blocks in (0, 3):
        parts = [("conv1", 0), *((f"layer{1 + i // 4}.{i % 4}", 1 + i // 4) for i in range(8)), ("fc", -1)]
        for index, (part, stage) in enumerate(parts):
            trained = 1_000_000 if index >= len(parts) - 1 - blocks else 0
            lines.append([blocks, part, stage, 1_000_000, trained])
    return pd.DataFrame(lines, columns=["blocks", "part", "stage", "parameters", "trained"])


CUTS, DAMPINGS = (5e-2, 1e-3, 1e-8, 1e-12, 1e-20), (1e-3, 0.1, 1.0, 100.0)


def cut_rows(seeds=3, cuts=CUTS, dampings=DAMPINGS):
    """Rows of influence_cut, as two networks and their refitted heads may have them."""
    rng = np.random.default_rng(0)
    lines = []
    for source, better in (("plain", 0.0), ("l2", 0.05)):
        for seed in range(seeds):
            place = {"target": "leaves", "source": source, "blocks": 3, "images": 60, "seed": seed}
            for head, least in (("fine_tuned", 0.1), ("refitted", 0.8)):
                for inverse, levels in (("cut", cuts), ("damping", dampings)):
                    for rank, level in enumerate(levels):
                        score = least + better + 0.02 * rank + 0.01 * rng.random()
                        found = {"kept": 3 * 4**rank, "score": score, "top1": min(1, score + 0.1)}
                        found |= {"three_of_top5": score, "same_class": 0.1 + 0.1 * score, "loss": np.nan}
                        lines.append({**place, "head": head, "inverse": inverse, "level": level, **found})
                itself = {"loss": 2.0, "accuracy": 0.7 + better, "residual_log10": -9.0 + seed}
                lines.append({**place, "head": head, "inverse": "none", "level": 0.0, **itself})
            for level in dampings:
                absent = dict.fromkeys(("kept", "score", "top1", "three_of_top5", "same_class"), np.nan)
                found = {**absent, "loss": 1 + np.log10(level) ** 2 / 10 - better}
                lines.append({**place, "head": "refitted", "inverse": "ridge", "level": level, **found})
    return pd.DataFrame(lines).assign(queries=30, chance=0.1)[list(INFLUENCE_CUT_ROWS)]


def cut_table(**changes):
    return tabulate_cut(cut_rows(**changes), NETWORKS_EXPERIMENT["sources"], "t")


OF_NETWORKS = {
    "fig1": lambda: fig1.draw(visualisations(), NETWORKS_EXPERIMENT),
    "fig6": lambda: fig6.draw(pictures(), NETWORKS_EXPERIMENT),
    "fig7": lambda: fig7.draw(influence_matrices(), NETWORKS_EXPERIMENT),
    "fig8": lambda: networks.draw_shares(shares(networks=3), NETWORKS_EXPERIMENT),
    "influence_all": lambda: networks.draw_shares(shares(("head", "all weights")), NETWORKS_EXPERIMENT),
    "influence_cut": lambda: influence_cut.draw(cut_table(), NETWORKS_EXPERIMENT),
    "fig9": lambda: fig9.draw(schematic(), NETWORKS_EXPERIMENT),
}


SHRUNK = {"leaves": [[32, "leaves"], [8, "leaves_8px"]], "stones": [[16, "stones"]]}


def resolutions(folder: Path, accuracy=lambda source, target, blocks, images, seed, epoch: 0.5 + 0.01 * seed):
    """The table of `resolution` as it is read, of 6 seeds and two sizes, and its experiment."""
    names = [name for places in SHRUNK.values() for _, name in places]
    experiment = experiments.an_experiment(
        6,
        labels={"leaves": "Leaves"},
        resolution={"targets": SHRUNK, "images": [100, 200]},
        figures={"resolution": selections(names)["resolution"]},
    )
    wide = {**experiment, "targets": names, "sizes": {name: [[100, 6], [200, 6]] for name in names}}
    table = tabulate_resolution(experiments.rows_of(wide, accuracy), experiment, "resolution")
    save_table(folder / "resolution.csv", table)
    return style.read_table(str(folder / "resolution.csv")), experiment


def synthetic(seeds=4):
    """A table of `transferability_synthetic`."""
    quantities = [quantity for _, mine in transferability_synthetic.PANELS for quantity in mine]
    lines = [
        [attack, quantity, x, 0.5 + x / 10, 0.4, 0.6, seeds, -1.0, 0]
        for attack in transferability_synthetic.COLOURS
        for quantity in quantities
        for x in (2.0, 0.0, 1.0)
    ]
    return pd.DataFrame(lines, columns=list(SYNTHETIC_MEANS))


def bound_table(sources, targets, seeds=3, blocks=(0, 3), epsilons=(1 / 255, 2 / 255)):
    rng = np.random.default_rng(0)
    lines = []
    for target in targets:
        for index, source in enumerate(sources):
            for count in blocks if index < 2 else blocks[:1]:
                for seed in range(seeds):
                    for image in range(12):
                        s, rho = rng.exponential(0.3), rng.exponential(0.5)
                        for times, radius in enumerate(epsilons, 1):
                            flipped = bool(times * s > rho and rng.random() < 0.5)
                            cell = [target, source, count, 100, seed, "linf", radius, image]
                            classes = [1, 1, 2 if flipped else 1, 0.5, 0.5 + 0.3 * times * s]
                            lines.append(
                                [*cell, *classes, times * s, times * s, 9.0, rho, 4.0, times * s < rho, flipped, False]
                            )
    return tabulate_bound(pd.DataFrame(lines, columns=list(BOUND_ROWS)), "t")


def bound_experiment(sources, targets, blocks=(3,)):
    attack = {"norm": "linf", "epsilons": [[10**9, [1 / 255]]], "steps": 20, "restarts": 1, "seed": 0}
    settings = {"protocol": "probe", "sources": sources, "compared": sources[:2], "blocks": list(blocks)}
    return {
        **{"name": "trial", "targets": targets, "labels": {name: f"{name}!" for name in sources}, "bands": "t"},
        "robustness_bound": {**settings, "test_images": 12, "attack": attack},
    }


CLAIMS_EXPERIMENT = {
    "name": "trial",
    "sources": {"natural": "natural", "robust": "l2"},
    "labels": {"l2": "L2, ε = 0.5"},
}


def claimed(verdicts=VERDICTS):
    """A table of claims: one of each verdict and statistic of each paper."""
    lines = []
    for paper, section in (
        ("Utrera et al. 2020", "Fig. 2 (a), Table 5"),
        ("Nern et al. 2022", "a section with a long name"),
    ):
        for number, verdict in enumerate(verdicts):
            for statistic in ("difference", "trend", "rank_correlation", "count", "schedule", "table")[number % 2 :: 2]:
                value = None if verdict == "not testable" else number + 0.25
                cells = 0 if verdict == "not testable" else 30
                interval = (
                    [value, None, None] if statistic != "difference" or value is None else [value, value - 1, value + 2]
                )
                words = f"A claim of {paper} that takes more than a line of words, tested by {statistic} ({verdict})"
                identity = [f"{paper[:5]}-{number}-{statistic}", paper, section, words, statistic]
                lines.append(
                    [*identity, cells, min(cells, 24), *interval, 0.01, verdict, "a reason" if not cells else ""]
                )
    return pd.DataFrame(lines, columns=list(CLAIMS))


def claims_of_both():
    return tabulate_compared(claimed(), claimed(tuple(reversed(VERDICTS))))


def compared_rows(sources, targets, seeds=3):
    """Rows of compared networks: the later a source, the larger its measures and its accuracy."""
    rng = np.random.default_rng(0)
    lines = []
    for target in targets:
        for index, source in enumerate(sources):
            for seed in range(seeds):
                line = {name: (1 + index) / (2 + len(sources)) + rng.normal(0, 0.02) for name in TRANSFERABILITY_ROWS}
                line |= {"target": target, "source": source, "images": 100, "seed": seed, "reference_images": 500}
                line |= {"norm": "linf", "epsilon": 0.1, "test_images": 50, "reference_right": 45, "both_right": 30}
                lines.append(
                    line | {"left_out_source_target": seed, "left_out_target_source": 0, "reference_accuracy": 0.9}
                )
    return pd.DataFrame(lines, columns=list(TRANSFERABILITY_ROWS))


def compared_experiment(sources, targets, epsilons=((10**9, 0.1),)):
    return {
        **{"name": "trial", "labels": {name: f"{name}!" for name in [*sources, *targets]}, "bands": "t"},
        "transferability": {
            **{"protocol": "probe", "sources": list(sources), "sizes": dict.fromkeys(targets, 100)},
            "attack": {"norm": "linf", "epsilons": [list(step) for step in epsilons], "steps": 20},
        },
    }


def compared(sources, targets, seeds=3):
    """The table of compared networks, as it is read, and its experiment."""
    table = tabulate_transferability(compared_rows(sources, targets, seeds), "t")
    return style.read_table(io.BytesIO(table.to_csv(index=False).encode())), compared_experiment(sources, targets)


RADII = (0.0, 0.5 / 255, 1 / 255, 2 / 255, 4 / 255, 8 / 255)


def arms_experiment(targets=("leaves", "stones"), betas=(4, 16), sources=("plain", "l2", "small", "large")):
    """An experiment whose networks are attacked by their way to a target."""
    attack = {"norm": "linf", "epsilons": list(RADII[1:]), "steps": 20, "restarts": 3, "seed": 0}
    sizes = {target: [50, 100, 200] for target in targets}
    curve = {"protocol": "short", "sources": list(sources[:2]), "blocks": 3, "sizes": sizes, "epsilon": 1 / 255}
    mitigated = {f"kept_{beta}": {"beta": beta, "epsilon": 0.5 / 255, "steps": 3} for beta in betas}
    settings = {"protocol": "whole", "mitigated": mitigated, "recipe": "few", "natural": "plain", "blocks": 16}
    settings |= {"sources": list(sources), "test_images": 50, "shown": 1 / 255, "attack": attack, "curve": curve}
    return {**an_experiment(targets=list(targets)), "nonrobustness": settings}


def arms_rows(experiment, seeds=3, curve=False, autoattack=0):
    """Rows of attacked networks: fewer are right the larger the radius, and the earlier the arm."""
    settings, rng = experiment["nonrobustness"], np.random.default_rng(0)
    arms = [("standard", settings["recipe"], "plain", 0)]
    arms += [("fine_tuned", settings["protocol"], source, 0) for source in settings["sources"]]
    arms += [("mitigated", way, "plain", chosen["beta"]) for way, chosen in settings["mitigated"].items()]
    if curve:
        arms = [("fine_tuned", "short", source, 0) for source in settings["curve"]["sources"]]
    lines = []
    for target in experiment["targets"]:
        for index, (arm, way, source, beta) in enumerate(arms):
            for images in settings["curve"]["sizes"][target] if curve else [100]:
                for seed in range(seeds):
                    clean, cell = 30 + 2 * index + int(rng.integers(5)), [arm, way, source, target, 16, images, beta]
                    shared = [*cell, seed, 10, "linf"]
                    for place, radius in enumerate(RADII[:3:2] if curve else RADII):
                        left = int(clean / (1 + place * 4 / (1 + index)))
                        lines.append([*shared, "pgd", radius, 50, clean, left, left])
                    if autoattack:
                        lines.append([*shared, "autoattack", 1 / 255, autoattack, 8, 5, 4])
    return pd.DataFrame(lines, columns=list(NONROBUSTNESS_ROWS))


def arms(seeds=3, curve=False, autoattack=0, **choices):
    """The table of attacked networks and its experiment."""
    experiment = arms_experiment(**choices)
    return tabulate_arms(arms_rows(experiment, seeds, curve, autoattack), "t"), experiment


def likenesses(targets=("leaves", "stones"), side=6):
    """A table of `nonrobustness_features` and its experiment."""
    lines = []
    for index, target in enumerate(targets):
        for first, second in nonrobustness_features.PAIRS:
            for layer in range(5):
                for quantity, value in (("cca", 0.9 - 0.1 * layer), ("cca_shuffled", 0.3)):
                    lines.append([target, quantity, first, second, layer, value, value - 0.05, value + 0.05, 3])
        for first in nonrobustness_features.PERTURBATIONS:
            for second in nonrobustness_features.NETWORKS:
                lines.append([target, "changed", first, second, 0, 0.1 + 0.2 * index, 0.05, 0.5, 3])
            for place in range(3 * side * side):
                lines.append([target, "pixel", first, "", place, (-1) ** place * 8 / 255, np.nan, np.nan, 1])
    experiment = arms_experiment(targets)
    features = {"images": 500, "variance": 0.99, "epsilon": 8 / 255, "steps": 50, "draws": 5}
    experiment["nonrobustness"] |= {"features": features, "robust": "l2"}
    return pd.DataFrame(lines, columns=list(NONROBUSTNESS_FEATURES)), experiment


def reproduced(folder: Path, models=4, **changes):
    """The table of `reproduction` as it is read, of two of the paper's targets at two sizes, and its experiment."""
    targets = ("svhn", "mnist")
    changes = {"sizes": {target: [[100, models], [200, models]] for target in targets}, "blocks": [3], **changes}
    experiment = experiments.an_experiment(models, targets, labels={"svhn": "SVHN", "mnist": "MNIST"}, **changes)
    rng = np.random.default_rng(0)
    table = tabulate_reproduction(experiments.rows_of(experiment, lambda *cell: rng.uniform(0.1, 0.9)), experiment)
    save_table(folder / "reproduction.csv", table)
    experiment["figures"] = {"reproduction": experiment["figures"]["reproduction"]}
    return style.read_table(str(folder / "reproduction.csv")), experiment


OF_STUDIES = {
    "reproduction": lambda folder: reproduction.draw(*reproduced(folder)),
    "nonrobustness_features": lambda folder: nonrobustness_features.draw(*likenesses()),
    "nonrobustness": lambda folder: nonrobustness.draw(*arms()),
    "fig2_robust": lambda folder: fig2_robust.draw(*arms(curve=True)),
    "transferability": lambda folder: transferability.draw(*compared(["plain", "l2", "small"], ["leaves", "stones"])),
    "transferability_sources": lambda folder: transferability_sources.draw(
        *compared(["0%", "50%", "100%"], ["leaves"])
    ),
    "claims": lambda folder: claims.draw(claimed(), CLAIMS_EXPERIMENT),
    "claims_compared": lambda folder: claims_compared.draw(claims_of_both(), CLAIMS_EXPERIMENT),
    "robustness_bound": lambda folder: robustness_bound.draw(
        bound_table(["plain", "l2"], ["leaves", "stones"]), bound_experiment(["plain", "l2"], ["leaves", "stones"])
    ),
    "resolution": lambda folder: resolution.draw(*resolutions(folder)),
    "transferability_synthetic": lambda folder: transferability_synthetic.draw(synthetic(), {}),
}
