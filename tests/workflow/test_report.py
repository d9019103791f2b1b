"""The report through Snakemake: of what there is, and what it takes to have all."""

TINY = ["--configfile", "tiny.yaml"]


def test_what_there_is_and_what_all_of_it_takes(checkout):
    # Figure 4 is no longer what its code would draw; its table is.
    checkout.edit("scripts/figures/fig4.py", '"robust"', '"robust" or ""')
    said = checkout.snakemake("-c1", "report_so_far", *TINY).stdout
    assert "results/reports/tiny_so_far.html: " in said
    page = (checkout.folder / "results/reports/tiny_so_far.html").read_text()
    shown = page[: page.index('id="absent"')]
    assert shown.count('src="data:image/png;base64,') == 1
    for name in ("fig2", "fig4", "table1", "table2", "table5"):
        assert f'<h3 id="{name}">' in shown
    assert "Not drawn yet: <code>figures/fig4.png</code>" in shown
    assert '<h3 id="fig3">' not in shown
    absent = page[page.index('id="absent"') :]
    assert "Not computed yet: snakemake figures/fig3.pdf --config experiment=tiny" in absent
    assert "The experiment shares no target with the paper&#39;s Table 5" in absent
    # The time that Snakemake recorded of its own jobs: of 2 sources, 2 sizes and 2 blocks all but the natural one's with 1 block.
    assert '<th scope="row">fine-tuning</th><td class="number">3</td><td class="number">1</td>' in page
    # All of it takes what the experiment lacks, and no model again.
    planned = checkout.planned("report", *TINY)
    assert planned["report"] == ["results/reports/tiny.html"]
    assert len(planned["transfer"]) == 1
    assert all("mini_natural/digits/blocks1_" in file for file in planned["transfer"])
    assert {"figures/fig3.pdf", "figures/fig4.pdf", "figures/claims.pdf"} <= set(planned["figure"])
    assert "figures/reproduction.pdf" not in planned["figure"]
    assert "figures/fig2.pdf" not in planned["figure"]
