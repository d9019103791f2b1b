"""Table 5: its columns, their order, the published values; its Markdown and its LaTeX."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from advtransfer.tables.table5 import latex, markdown, table5
from experiments import SOURCES, an_experiment, rows_of

LABELS = {"plain": "natural", "l2": "L2", "small": "L∞ 2", "large": "L∞ 4", "leaves": "Leaves", "stones": "Stones"}
EPOCHS = {"100": 20, "200": 20}  # where the runs of `rows_of` end


def test_table5_columns_order_and_published_values(tmp_path):
    printed = tmp_path / "table5.csv"
    printed.write_text(
        "target,images,source,printed_percent,summary_percent\nstones,200,l2,61.5,62\n", encoding="utf-8"
    )
    experiment = an_experiment(protocol="paper", targets=("stones", "leaves"))
    rows = rows_of(experiment, lambda source, t, b, i, seed, e: 0.1 * seed)
    rows = rows[~((rows["source"] == "large") & (rows["target"] == "leaves"))]
    # One model of one cell ended earlier, on epochs of its own.
    rows = rows[~((rows["source"] == "l2") & (rows["images"] == 100) & (rows["seed"] == 3) & (rows["epoch"] != 11))]
    table = table5(rows.sample(frac=1, random_state=2), experiment, printed=printed)
    assert list(table) == [
        "target",
        "images",
        "source",
        "accuracy_percent",
        "models",
        "published_percent",
        "epochs",
    ]
    order = list(SOURCES.values())
    assert list(table[["target", "images", "source"]].itertuples(index=False, name=None)) == [
        (target, images, source)
        for target in ("stones", "leaves")
        for images in (100, 200)
        for source in order
        if (target, source) != ("leaves", "large")
    ]
    assert np.allclose(table["accuracy_percent"], 15.0)
    cells = table.set_index(["target", "images", "source"])
    assert cells["published_percent"]["stones", 200, "l2"] == 61.5
    assert table["published_percent"].notna().sum() == 1
    assert set(cells["epochs"][:, 200]) == {"20"}
    assert set(cells["epochs"][:, 100, "l2"]) == {"11 20"}
    other = table5(rows.assign(protocol="short"), experiment | {"protocol": "short"}, printed=printed)
    assert other["published_percent"].isna().all()


@pytest.fixture
def experiment():
    return an_experiment(models=3, labels=LABELS)


@pytest.fixture
def table(experiment):
    """Sources better and better; on stones `large` is missing, and `small` has a model less."""
    order = list(SOURCES.values())
    rows = rows_of(
        experiment, lambda source, target, b, images, seed, e: 0.4 + 0.07 * order.index(source) + 0.01 * seed
    )
    rows = rows[~((rows["source"] == "large") & (rows["target"] == "stones"))]
    rows = rows[~((rows["source"] == "small") & (rows["target"] == "stones") & (rows["seed"] == 0))]
    table = table5(rows, experiment)
    table.loc[0, "published_percent"] = 12.345
    return table


def test_table5_in_markdown(table, experiment):
    lines = markdown(table, experiment, EPOCHS).splitlines()
    assert lines[0] == "| target | images | natural | L2 | L∞ 2 | L∞ 4 | models | epochs |"
    assert len(lines) == 2 + 4 + 2
    leaves = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert leaves[:2] == ["Leaves", "100"]
    assert leaves[2].endswith("(12.35)") or leaves[2].endswith("(12.34)")
    values = [float(cell.split(" ")[0].strip("*")) for cell in leaves[2:6]]
    assert np.allclose(values, table["accuracy_percent"][:4], atol=0.005)
    assert [cell.startswith("**") for cell in leaves[2:6]] == [value == max(values) for value in values]
    stones = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert stones[5:] == ["\N{EN DASH}", "3, 3, 2", "20"]
    assert "Of 16 planned cells 2 have no model and 2 have fewer than planned." in lines[-1]
    assert "\N{DAGGER}" not in "".join(lines)


def test_rows_of_other_epochs_are_marked(table, experiment):
    table.loc[table["images"] == 200, "epochs"] = "11"
    table.loc[(table["images"] == 200) & (table["source"] == "l2"), "epochs"] = "11 20"
    lines = markdown(table, experiment, EPOCHS).splitlines()
    assert [line.strip("| ").split("|")[-1].strip() for line in lines[2:6]] == ["20", "11, 20 †", "20", "11, 20 †"]
    assert "† Trained for other epochs (last column) than the protocol's: 20 up to 200 images." in lines[-1]
    protocol = {"100": 20, "200": 30}
    lines = markdown(table.assign(epochs="20"), experiment, protocol).splitlines()
    assert "the protocol's: 20 up to 100 images, 30 up to 200 images." in lines[-1]
    text = latex(table, experiment, EPOCHS)
    assert text.count(r"11, 20 $^\dagger$ \\") == 2
    assert r"$^\dagger$ Trained for other epochs" in text


def test_table5_in_latex(table, experiment):
    lines = latex(table, experiment, EPOCHS).splitlines()
    assert r"\usepackage{booktabs,longtable}" in lines[0]
    begin = [re.fullmatch(r"\\begin\{(\w+)\}.*", line)[1] for line in lines if line.startswith(r"\begin{")]
    end = [re.fullmatch(r"\\end\{(\w+)\}", line)[1] for line in lines if line.startswith(r"\end{")]
    assert begin == end == ["longtable"]
    assert lines.count(r"\begingroup") == lines.count(r"\endgroup") == 1
    assert lines.count(r"\toprule") == 2  # on the first page, and on those that follow
    (columns,) = [line for line in lines if line.startswith(r"\begin{longtable}")]
    assert columns == r"\begin{longtable}{lrrrrrrr}"
    rows = [line.removesuffix(r" \\").split(" & ") for line in lines if line.endswith(r" \\")]
    assert [len(row) for row in rows] == [8] * 6
    assert rows[0] == ["target", "images", "natural", "L2", r"L$\infty$ 2", r"L$\infty$ 4", "models", "epochs"]
    assert rows[2][:3] in (["Leaves", "100", "41.00 (12.35)"], ["Leaves", "100", "41.00 (12.34)"])
    assert rows[2][5] == r"\textbf{62.00}"
    assert rows[4][5] == "--"
    assert r"Mean test accuracy (\%) after" in "".join(lines)


def test_labels_are_text_in_latex(table, experiment):
    experiment = experiment | {"labels": {"leaves": r"[50%] a_b & #1 {x} ~^ \y <|> $", "l2": "*L2, ε = 3/255"}}
    text = latex(table, experiment, EPOCHS)
    label = (
        r"{[}50\%] a\_b \& \#1 \{x\} \textasciitilde{}\textasciicircum{} \textbackslash{}y "
        r"\textless{}\textbar{}\textgreater{} \$"
    )
    assert sum(line.startswith(f"{label} & 100 & ") for line in text.splitlines()) == 1
    assert r" & {*}L2, $\varepsilon$ = 3/255 & " in text
    row = markdown(table, experiment, EPOCHS).splitlines()[2]
    assert r"<\|> $" in row


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_latex_compiles(table, experiment, tmp_path):
    table.loc[0, "epochs"] = "11"
    labels = LABELS | {"leaves": r"[50%] a_b & #1 {x} ~^ \y <|> $", "l2": "*L2, ε = 3/255"}
    (tmp_path / "table5.tex").write_text(latex(table, experiment | {"labels": labels}, EPOCHS), encoding="utf-8")
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs,longtable}\n\\begin{document}\n\\input{table5}\n\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    result = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, errors="replace")
    if "File `booktabs.sty' not found" in result.stdout or "File `longtable.sty' not found" in result.stdout:
        pytest.skip("this LaTeX has no booktabs or no longtable")
    assert result.returncode == 0, result.stdout
    assert "Missing character" not in (tmp_path / "page.log").read_text(errors="replace")
    assert (tmp_path / "page.pdf").stat().st_size > 0
