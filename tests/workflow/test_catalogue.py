"""One place for a figure: registered there, it can be asked for, is listed, and is drawn."""

CATALOGUE = "scripts/advtransfer/config/catalogue.py"
TINY = ["--configfile", "tiny.yaml"]
# The robust source alone, by a drawing module that is another figure's.
ENTRY = """\
    Entry(
        "robust_only",
        OURS,
        "",
        "Accuracy of the robust source with one block",
        "accuracy",
        "rows",
        "accuracy.compare",
        columns=columns.ACCURACY,
        selection=Selection(("robust",), (1,)),
    ),
)
CATALOGUE = {"""
DRAWING = '''\
"""Draw robust_only: accuracy against images of the robust source."""

from figures import style


def draw(table, experiment):
    """A panel for each target."""
    return style.draw_comparison(table, experiment, style.role_lines(experiment, ["robust"]), "images", "")
'''


def test_a_figure_that_is_registered_in_one_place_is_drawn(checkout):
    checkout.edit(CATALOGUE, ")\nCATALOGUE = {", ENTRY)
    (checkout.folder / "scripts/figures/robust_only.py").write_text(DRAWING)
    # Its models are those of figure 4: none is trained again, and nothing else is drawn again.
    assert checkout.planned("figures/robust_only.pdf", "figures/fig2.pdf", "figures/fig4.pdf", *TINY) == {
        "table": ["results/tables/tiny/robust_only.csv"],
        "figure": ["figures/robust_only.pdf"],
    }
    checkout.snakemake("figures/robust_only.pdf", *TINY)
    pdf = (checkout.folder / "figures/robust_only.pdf").read_bytes()
    assert b"Accuracy of the robust source with one block" in pdf
    table = (checkout.folder / "results/tables/tiny/robust_only.csv").read_text()
    assert "mini_l2,1," in table
    assert "mini_natural" not in table
    listed = " ".join(checkout.snakemake("list", *TINY).stdout.split())
    assert (
        "robust_only.pdf Accuracy of the robust source with one block (beyond the paper) [4 models, 0 to train]"
        in listed
    )


def test_a_caption_redraws_its_figure_only(checkout):
    checkout.edit(CATALOGUE, "Accuracy of the robust source by trained blocks", "How many blocks to train")
    assert checkout.planned("figures/fig2.pdf", "figures/fig4.pdf", *TINY) == {"figure": ["figures/fig4.pdf"]}
