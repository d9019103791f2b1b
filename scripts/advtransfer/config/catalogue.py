"""Everything that can be asked for: the figures and tables, one entry each. What lies behind them in results/ is in `results`.

Rules get an entry's facts as parameters and no job imports this module: a new caption redraws the figure that shows it, and
nothing else. To add a figure: an entry here, a function of `advtransfer.tables` that makes its table (an existing one may do), a module
of scripts/figures with draw(table, experiment), and a test (CONTRIBUTING.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from advtransfer.config import columns

# The main comparison is natural against robust (the paper: L2, epsilon 3); figures 5 and 10 add two Linf sources.
ROLES = ("natural", "robust", "linf_small", "linf_large")

MAIN = "Utrera et al. 2020"
LIANG = "Liang et al. 2021"
NERN = "Nern et al. 2022"
ZHANG = "Zhang et al. 2021"
OURS = "beyond the paper"

CATEGORIES = {
    "verdict": "The verdict",
    "accuracy": "Accuracy after transfer",
    "influence": "Which training images matter",
    "networks": "Inside the networks",
    "robustness": "Robustness after transfer",
    "sources": "Source networks",
    "transferability": "Do attacks carry over where knowledge does?",
    "settings": "Settings",
}


@dataclass(frozen=True)
class Selection:
    """Which fine-tuned models a figure shows.

    roles: of the sources; none where `x` is "epsilon": there the sources are a ladder. blocks: trained block counts. x: what the
    horizontal axis is: "images", "epoch" (at one number of images), "epsilon" (of the source) or "resolution" (of the target). differences: pairs of (role, blocks), the
    second subtracted from the first; blocks None is the figure's first count. panels: the targets whose accuracy is shown, or the
    experiment's first ones where it lacks one of them; all targets by default. epoch: which of a run's evaluated epochs counts, the
    "last", or the "best" on the test set, as the authors drew some figures (docs/protocol.md). printed: whether the paper's printed means are
    laid over those of its targets. An experiment may set roles, blocks and epoch for itself (`figures` of an experiment).
    """

    roles: tuple[str, ...]
    blocks: tuple[int, ...]
    x: str = "images"
    differences: tuple[tuple[tuple[str, int | None], tuple[str, int | None]], ...] = ()
    panels: tuple[str, ...] = ()
    epoch: str = "last"
    printed: bool = False


@dataclass(frozen=True)
class Entry:
    """A figure or table.

    name: of its files in figures/ and results/tables/. paper, section: what it reproduces; no section beyond the papers. caption: one line. category: a key of
    CATEGORIES. drawn_from: what it is made of: "rows" (of fine-tuned models), "influence" (one network of each source), "influence_seeds" (several), "influence_all" (through all
    weights), "influence_cut" (by every inverse), "networks" (fine-tuned ones, looked into), "attacked" (networks under attack), "arms" (the same by their way to a target), "compared" (sources with reference networks), "controlled" (the same of sources trained on mixtures), "architecture", "robustness" (of the sources), "synthetic" (no network of the experiment), "claims" and "claims_compared" (other entries' rows and tables), or, for tables of the configuration, "protocol", "sources" and "targets".
    tabulate: the function of `advtransfer.tables` that makes its table, "module.function"; empty where a rule of its own makes it.
    table: the ending of its table's file. columns: of that table. endings: of its files in figures/. stem: of these files' name, where it is
    not the entry's.
    """

    name: str
    paper: str
    section: str
    caption: str
    category: str
    drawn_from: str
    tabulate: str = ""
    table: str = "csv"
    columns: Mapping[str, str] | None = None
    selection: Selection | None = None
    endings: tuple[str, ...] = ("pdf", "png")
    stem: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that hold it."""
        return tuple(f"figures/{self.stem or self.name}.{ending}" for ending in self.endings)

    @property
    def records(self) -> tuple[str, ...]:
        """The records of these files (`figure_records`), one of each job that writes some; a plain copy of a table has none."""
        drawn, written = "pdf" in self.endings, "md" in self.endings
        names = [self.name] * (drawn or written) + [f"{self.name}_text"] * (drawn and written)
        return tuple(f"figures/{name}.json" for name in names)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The files that Snakemake makes of it."""
        return self.files + self.records


_ENTRIES = (
    Entry(
        "claims",
        OURS,
        "",
        "Which claims of the papers hold: each one tested, with its verdict",
        "verdict",
        "claims",
        columns=columns.CLAIMS,
        endings=("csv", "md", "pdf", "png"),
    ),
    Entry(
        "claims_compared",
        OURS,
        "",
        "The same verdicts beside those on the paper's own logs",
        "verdict",
        "claims_compared",
        columns=columns.CLAIMS_COMPARED,
    ),
    Entry(
        "reproduction",
        MAIN,
        "Table 5",
        "Accuracy beside that which the paper prints in its Table 5, cell by cell",
        "verdict",
        "rows",
        "reproduction.reproduction",
        columns=columns.REPRODUCTION,
        selection=Selection(ROLES, (3,)),
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "fig1",
        MAIN,
        "Fig. 1",
        "Images that drive a penultimate unit up, for the natural and the robust source",
        "networks",
        "networks",
        table="safetensors",
    ),
    Entry(
        "fig2",
        MAIN,
        "Fig. 2",
        "Accuracy against training images, robust and natural, and their difference",
        "accuracy",
        "rows",
        "accuracy.compare",
        columns=columns.ACCURACY,
        selection=Selection(
            ("natural", "robust"), (3,), differences=((("robust", None), ("natural", None)),), printed=True
        ),
    ),
    Entry(
        "fig3",
        MAIN,
        "Fig. 3",
        "Accuracy against epoch, robust and natural, and their difference",
        "accuracy",
        "rows",
        "accuracy.compare",
        columns=columns.ACCURACY,
        selection=Selection(("natural", "robust"), (3,), "epoch", ((("robust", None), ("natural", None)),)),
    ),
    Entry(
        "fig4",
        MAIN,
        "Fig. 4",
        "Accuracy of the robust source by trained blocks, and 3 blocks minus 1",
        "accuracy",
        "rows",
        "accuracy.compare",
        columns=columns.ACCURACY,
        selection=Selection(("robust",), (0, 1, 3, 9), differences=((("robust", 3), ("robust", 1)),)),
    ),
    Entry(
        "fig5",
        MAIN,
        "Fig. 5",
        "Which threat the robust source was trained against: L2 and two Linf sources",
        "accuracy",
        "rows",
        "accuracy.compare",
        columns=columns.ACCURACY,
        selection=Selection(
            ("robust", "linf_small", "linf_large"),
            (3,),
            # In the paper's order: (c) the two Linf sources, (d, e) L2 against each of them.
            differences=(
                (("linf_small", None), ("linf_large", None)),
                (("robust", None), ("linf_small", None)),
                (("robust", None), ("linf_large", None)),
            ),
            panels=("cifar10", "svhn"),
            printed=True,
        ),
    ),
    Entry(
        "fig6",
        MAIN,
        "Fig. 6, section 6",
        "Test images and the training images that are most influential on them",
        "influence",
        "influence",
        "influence.fig6",
        table="safetensors",
    ),
    Entry(
        "fig7",
        MAIN,
        "Fig. 7, section 6",
        "Influence of training images on training and test images, sorted by class",
        "influence",
        "influence",
        "influence.fig7",
        table="safetensors",
    ),
    Entry(
        "fig7_summary",
        MAIN,
        "Fig. 7, section 6",
        "Influence within a class less that between classes, as figure 7 shows it",
        "influence",
        "influence_seeds",
        "influence.fig7_summary",
        columns=columns.CONTRAST,
        endings=("csv",),
        stem="fig7",
    ),
    Entry(
        "fig8",
        MAIN,
        "Fig. 8, section 6",
        "How often the most influential training images have the query's class",
        "influence",
        "influence_seeds",
        "influence.fig8",
        columns=columns.SHARES,
    ),
    Entry(
        "fig8_summary",
        MAIN,
        "section 6",
        "Top 1 and at least 3 of the top 5 of figure 8, beside the paper's",
        "influence",
        "influence_seeds",
        "influence.fig8_summary",
        columns=columns.SHARES_SUMMARY,
        endings=("csv",),
        stem="fig8",
    ),
    Entry(
        "fig9",
        MAIN,
        "Fig. 9",
        "Which layers each fine-tuning setting trains",
        "networks",
        "architecture",
        columns=columns.TRAINED_PARTS,
    ),
    Entry(
        "fig10",
        MAIN,
        "Fig. 10",
        "Accuracy of every source by trained blocks, and 3 blocks minus 1",
        "accuracy",
        "rows",
        "accuracy.compare",
        columns=columns.ACCURACY,
        selection=Selection(ROLES, (0, 1, 3, 9), differences=tuple(((role, 3), (role, 1)) for role in ROLES)),
    ),
    Entry(
        "epsilon",
        OURS,
        "",
        "Accuracy against the epsilon that the source was trained with",
        "accuracy",
        "rows",
        "accuracy.compare",
        columns=columns.ACCURACY,
        selection=Selection((), (3,), "epsilon"),
    ),
    Entry(
        "resolution",
        OURS,
        "",
        "Robust minus natural against the target's own resolution, its images shrunk by area",
        "accuracy",
        "rows",
        "resolution.resolution",
        columns=columns.RESOLUTION,
        selection=Selection(("natural", "robust"), (3,), "resolution", ((("robust", None), ("natural", None)),)),
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "influence_all",
        OURS,
        "",
        "Figure 8 through all fine-tuned weights, beside that through the head",
        "influence",
        "influence_all",
        "influence.influence_all",
        columns=columns.SHARES_THROUGH,
    ),
    Entry(
        "influence_cut",
        OURS,
        "",
        "Which inverse of the head's Hessian predicts retraining, and how figure 8 hangs on it",
        "influence",
        "influence_cut",
        "influence_cut.influence_cut",
        columns=columns.INFLUENCE_CUT,
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "source_robustness",
        OURS,
        "",
        "Accuracy of the sources on their own test images, under attack",
        "sources",
        "robustness",
        "robustness.source_robustness",
        columns=columns.ROBUSTNESS,
    ),
    Entry(
        "transferability",
        LIANG,
        "",
        "Do attacks carry over between a source and the target's own network where knowledge does?",
        "transferability",
        "compared",
        "transferability_networks.compare",
        columns=columns.TRANSFERABILITY,
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "transferability_sources",
        LIANG,
        "",
        "The same with sources trained on mixtures of target-like and other classes",
        "transferability",
        "controlled",
        "transferability_networks.compare",
        columns=columns.TRANSFERABILITY,
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "transferability_synthetic",
        LIANG,
        "",
        "Synthetic: attacks and knowledge carry over less from a more perturbed network",
        "transferability",
        "synthetic",
        columns=columns.SYNTHETIC_MEANS,
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "robustness_bound",
        NERN,
        "",
        "Linear probes under attack, and how far their representation bounds what it does",
        "robustness",
        "attacked",
        "robustness_bound.robustness_bound",
        columns=columns.BOUND,
    ),
    Entry(
        "robustness_bound_summary",
        NERN,
        "",
        "The same by source, target, blocks and epsilon, with violations and contradictions",
        "robustness",
        "attacked",
        "robustness_bound.robustness_bound_summary",
        columns=columns.BOUND_SUMMARY,
        endings=("csv",),
        stem="robustness_bound",
    ),
    Entry(
        "nonrobustness",
        ZHANG,
        "",
        "What networks keep under attack: from scratch, fine-tuned, and with discrepancy mitigation",
        "robustness",
        "arms",
        "nonrobustness.nonrobustness",
        columns=columns.NONROBUSTNESS,
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "fig2_robust",
        ZHANG,
        "",
        "Accuracy of figure 2's networks on adversarial images, against training images",
        "robustness",
        "arms",
        "nonrobustness.nonrobustness",
        columns=columns.NONROBUSTNESS,
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "nonrobustness_features",
        ZHANG,
        "",
        "How alike layers are before and after fine-tuning; perturbations that move all networks",
        "robustness",
        "arms",
        "nonrobustness_features.nonrobustness_features",
        columns=columns.NONROBUSTNESS_FEATURES,
        endings=("pdf", "png", "csv"),
    ),
    Entry(
        "table1",
        MAIN,
        "Table 1",
        "Hyper-parameters of the protocol",
        "settings",
        "protocol",
        "descriptions.table1",
        columns=columns.TABLE1,
        endings=("csv", "md"),
    ),
    Entry(
        "table2",
        MAIN,
        "Table 2, appendix B",
        "Epochs, evaluations, seeds and models by number of images",
        "settings",
        "protocol",
        "descriptions.table2",
        columns=columns.TABLE2,
        endings=("csv", "md"),
    ),
    Entry(
        "table3",
        MAIN,
        "Table 3",
        "Sources, their clean and their robust accuracy",
        "sources",
        "sources",
        "descriptions.table3",
        columns=columns.TABLE3,
        endings=("csv", "md"),
    ),
    Entry(
        "table4",
        MAIN,
        "Table 4",
        "Targets and their counts",
        "settings",
        "targets",
        "descriptions.table4",
        columns=columns.TABLE4,
        endings=("csv", "md"),
    ),
    Entry(
        "table5",
        MAIN,
        "Table 5",
        "Accuracy by target, number of images and source, beside the published values",
        "accuracy",
        "rows",
        "table5.table5",
        columns=columns.TABLE5,
        selection=Selection(ROLES, (3,)),
        endings=("csv", "md", "tex"),
    ),
)
CATALOGUE = {entry.name: entry for entry in _ENTRIES}
DRAWN = {name: entry for name, entry in CATALOGUE.items() if "pdf" in entry.endings}
# {figures/NAME.csv: the entry whose table it is a copy of}; other CSV files are written by rules of their own.
COPIES = {
    entry.stem or name: name
    for name, entry in CATALOGUE.items()
    if "csv" in entry.endings and entry.table == "csv" and "md" not in entry.endings
}
FROM_ROWS = {name: entry for name, entry in CATALOGUE.items() if entry.drawn_from == "rows"}


def entries(*drawn_from: str, endings: tuple[str, ...] | None = None, table: str | None = None) -> list[str]:
    """Names of the entries that are drawn from these, or from anything; with these endings, or with this ending of their table, only."""
    return [
        name
        for name, entry in CATALOGUE.items()
        if (not drawn_from or entry.drawn_from in drawn_from)
        and (endings is None or entry.endings == endings)
        and (table is None or entry.table == table)
    ]
