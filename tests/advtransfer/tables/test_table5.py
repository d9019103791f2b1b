"""Table 5: its columns, their order, the published values; and its Markdown."""

import numpy as np

from advtransfer.tables.table5 import render, table5
from experiments import SOURCES, an_experiment, rows_of


def test_table5_columns_order_and_published_values(tmp_path):
    published = tmp_path / "table5.csv"
    published.write_text("target,images,source,published_percent,models\nstones,200,l2,61.5,10\n", encoding="utf-8")
    experiment = an_experiment(protocol="paper", targets=("stones", "leaves"))
    rows = rows_of(experiment, lambda source, t, b, i, seed, e: 0.1 * seed)
    rows = rows[~((rows["source"] == "large") & (rows["target"] == "leaves"))]
    table = table5(rows.sample(frac=1, random_state=2), experiment, published=published)
    assert list(table) == ["target", "images", "source", "accuracy_percent", "models", "published_percent"]
    order = list(SOURCES.values())
    assert list(table[["target", "images", "source"]].itertuples(index=False, name=None)) == [
        (target, images, source)
        for target in ("stones", "leaves")
        for images in (100, 200)
        for source in order
        if (target, source) != ("leaves", "large")
    ]
    assert np.allclose(table["accuracy_percent"], 15.0)
    assert table.set_index(["target", "images", "source"])["published_percent"]["stones", 200, "l2"] == 61.5
    assert table["published_percent"].notna().sum() == 1
    other = table5(rows.assign(protocol="short"), experiment | {"protocol": "short"}, published=published)
    assert other["published_percent"].isna().all()


def test_table5_in_markdown():
    labels = {"plain": "natural", "l2": "L2", "small": "L∞ 2", "large": "L∞ 4", "leaves": "Leaves", "stones": "Stones"}
    experiment = an_experiment(models=3, labels=labels)
    order = list(SOURCES.values())
    rows = rows_of(
        experiment, lambda source, target, b, images, seed, e: 0.4 + 0.07 * order.index(source) + 0.01 * seed
    )
    rows = rows[~((rows["source"] == "large") & (rows["target"] == "stones"))]
    rows = rows[~((rows["source"] == "small") & (rows["target"] == "stones") & (rows["seed"] == 0))]
    table = table5(rows, experiment)
    table.loc[0, "published_percent"] = 12.345
    lines = render(table, experiment).splitlines()
    assert lines[0] == "| target | images | natural | L2 | L∞ 2 | L∞ 4 | models |"
    assert len(lines) == 2 + 4 + 2
    leaves = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert leaves[:2] == ["Leaves", "100"]
    assert leaves[2].endswith("(12.35)") or leaves[2].endswith("(12.34)")
    values = [float(cell.split(" ")[0].strip("*")) for cell in leaves[2:6]]
    assert np.allclose(values, table["accuracy_percent"][:4], atol=0.005)
    assert [cell.startswith("**") for cell in leaves[2:6]] == [value == max(values) for value in values]
    stones = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert stones[5] == "\N{EN DASH}"
    assert stones[6] == "3, 3, 2"
    assert "Of 16 planned cells 2 have no model and 2 have fewer than planned." in lines[-1]
