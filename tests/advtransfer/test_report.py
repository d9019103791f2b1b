"""The report holds every figure and table, in words for who cannot see them; a browser shows all of it and asks for nothing else."""

import math
import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advtransfer import report
from advtransfer.artefacts import made_of, save_table
from advtransfer.config.catalogue import CATALOGUE, DRAWN
from advtransfer.config.inspection import resolve_inspection
from advtransfer.config.report import SECTIONS, TEMPLATE, contents, of_section, picture_of, settings, table_of, timed
from advtransfer.errors import InputError
from browser import Browser, find_browser
from drawings import claimed
from experiments import PROJECT, counts_of, read_config, resolved

SCRIPT = "<script>document.title = 'taken over'</script>"


@pytest.fixture
def told():
    """What the configuration says of the demo, in which a label tries to be a script."""
    config = read_config()
    config["targets"]["digits"]["label"] = SCRIPT
    experiment, counts = resolved(config, "demo"), counts_of(config)
    inspection = resolve_inspection(config, experiment, counts)
    return config, experiment, inspection, settings(config, experiment, inspection, counts)


@pytest.fixture
def filled(told, tmp_path, monkeypatch):
    """A folder with a picture and a table for every entry, and what the report is told of them."""
    monkeypatch.chdir(tmp_path)
    config, experiment, inspection, said = told
    for folder in ("figures", "results/tables/demo"):
        (tmp_path / folder).mkdir(parents=True)
    figure = plt.figure(figsize=(1, 1))
    for entry in CATALOGUE.values():
        if entry.name in DRAWN:
            figure.savefig(picture_of(entry), dpi=60 + len(entry.name))
        if table_of("demo", entry):
            lines = {name: ["a<b", "2"] for name in entry.columns}
            if entry.name == "claims":
                lines = claimed()
            if entry.name == "table5":
                lines |= {"target": ["digits"] * 2, "images": [50, 100], "source": ["mini_natural", "mini_l2"]}
                lines |= {
                    "accuracy_percent": [50.0, 60.0],
                    "models": [3, 3],
                    "published_percent": [math.nan] * 2,
                    "epochs": ["30"] * 2,
                }
            save_table(table_of("demo", entry), pd.DataFrame(lines), made_of(None, "", {}))
    plt.close(figure)
    return said, contents(config, experiment, inspection)


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.data = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Keep a tag with its attributes."""
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        """Keep a text."""
        self.data.append(data)

    def of(self, tag):
        """The attributes of all tags of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def test_every_entry_belongs_to_one_section():
    found = [entry.name for identity, paper in SECTIONS.values() for entry in of_section(identity, paper)]
    assert sorted(found) == sorted(CATALOGUE)
    assert found[:3] == ["claims", "claims_compared", "reproduction"]


def test_the_page_holds_everything_once_with_words_for_it(filled):
    said, found = filled
    # The demo has none of the paper's targets, and no audit stands beside it here.
    absent = {"reproduction", "claims_compared"}
    assert {name for name, content in found.items() if content["absent"]} == absent
    text = report.write_page(said, found, PROJECT / TEMPLATE)
    page = Page(text)
    shown = set(CATALOGUE) - absent
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert shown <= set(ids)
    links = {attributes["href"] for attributes in page.of("a")}
    assert links == {f"#{name}" for name in ids}
    # Each picture with its size and words.
    assert len(page.of("img")) == len(DRAWN.keys() - absent)
    for picture in page.of("img"):
        assert picture["src"].startswith("data:image/png;base64,")
        assert len(picture["alt"]) > 20
        assert int(picture["width"]) >= 60
    for name in shown:
        assert any(CATALOGUE[name].caption in data for data in page.data), name
    words = " ".join(" ".join(page.data).split())
    assert "shares no target with the paper's Table 5" in words
    assert f"Of {len(claimed())} claims of the papers" in words
    # Real tables, with what their columns hold; Table 5 as it is printed.
    assert len(page.of("table")) >= sum(bool(table_of("demo", CATALOGUE[name])) for name in shown)
    assert CATALOGUE["fig8"].columns["rank"] in page.data
    assert "<strong>60.00</strong>" in text
    # Text stays text.
    assert SCRIPT in words
    assert not page.of("script")
    assert "a<b" in page.data
    # Sections stand in their order, the verdict first.
    headings = [attributes["id"] for attributes in page.of("h2") if "id" in attributes]
    assert headings == ["verdict", "utrera", "beyond", "liang", "nern", "zhang", "absent", "made"]


def test_a_browser_shows_all_figures_and_asks_for_nothing(filled, tmp_path, server):
    program = find_browser()
    if program is None:
        pytest.skip("needs a browser: chromium, chromium-browser or google-chrome (apt-get install chromium)")
    said, found = filled
    text = report.write_page(said, found, PROJECT / TEMPLATE)
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    # That a request would be seen: the same page without its ban, and with a picture from elsewhere.
    open_page = re.sub(r"<meta http-equiv.*?>", "", text).replace(
        "</main>", f'<img alt="x" src="{server.url}/page/x.png"></main>'
    )
    (tmp_path / "open.html").write_text(open_page, encoding="utf-8")
    banned = text.replace("</main>", f'<img alt="x" src="{server.url}/page/x.png"></main>')
    (tmp_path / "banned.html").write_text(banned, encoding="utf-8")
    with Browser(program, tmp_path / "profile") as browser:
        session, asked = browser.open((tmp_path / "report.html").as_uri())
        assert all(url.startswith(("file://", "data:")) for url in asked), asked
        assert sum(url.startswith("file://") for url in asked) == 1
        pictures = browser.value(session, "[...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth])")
        drawn = [entry for entry in DRAWN.values() if not found[entry.name]["absent"]]
        assert len(pictures) == len(drawn)
        assert all(complete and natural >= 60 and shown > 0 for complete, natural, shown in pictures)
        assert sorted(natural for _, natural, _ in pictures) == sorted(60 + len(entry.name) for entry in drawn)
        assert browser.value(session, "document.title") == "Report: experiment demo"
        # No table makes the page wider than its window.
        assert browser.value(session, "document.documentElement.scrollWidth <= window.innerWidth")
        assert server.asked == {}
        _, asked = browser.open((tmp_path / "banned.html").as_uri())
        assert server.asked == {}
        _, asked = browser.open((tmp_path / "open.html").as_uri())
        assert f"{server.url}/page/x.png" in asked
        assert server.asked == {"/page/x.png": 1}


def test_what_there_is_so_far_leaves_out_what_is_missing_or_stale(filled, told):
    config, experiment, inspection, said = told
    table, picture = "results/tables/demo/fig3.csv", "figures/fig4.png"
    found = contents(config, experiment, inspection, {table, picture})
    assert found["fig2"]["files"] == ["figures/fig2.png", "results/tables/demo/fig2.csv"]
    assert found["fig3"]["absent"] == "not computed yet: snakemake figures/fig3.pdf --config experiment=demo"
    assert found["fig4"]["files"] == ["results/tables/demo/fig4.csv"]
    # They do not say whose they are.
    assert found["table4"]["absent"].startswith("not computed yet")
    assert found["table1"]["files"] == ["figures/table1.csv"]
    page = Page(report.write_page(said, found, PROJECT / TEMPLATE))
    words = " ".join(" ".join(page.data).split())
    assert "Not drawn yet: figures/fig4.png is missing" in words
    assert "Not computed yet: snakemake figures/fig3.pdf" in words


def test_a_picture_that_is_none_is_refused(filled, tmp_path):
    said, found = filled
    (tmp_path / "figures/fig2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"figures/fig2\.png: not a PNG file\. Remove it"):
        report.write_page(said, found, PROJECT / TEMPLATE)
    (tmp_path / "figures/fig2.png").unlink()
    with pytest.raises(InputError, match=r"figures/fig2\.png: no such file\. Ask"):
        report.write_page(said, found, PROJECT / TEMPLATE)


def test_run_times_are_the_sums_of_the_records(told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    *_, said = told
    records = dict.fromkeys(kind for kind, _ in timed(said))
    assert set(records) == set(report.KINDS)
    assert report.run_times(said) == []
    files = [file for kind, file in timed(said) if kind == "transfer"]
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for file, line in zip(files[:3], ("1800\tx\t500", "3600\tx\t700", "30.5\tx\t-"), strict=True):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        cpu = "-" if line.endswith("-") else "900"
        (tmp_path / file).write_text(f"{head}{line}\t0\t0\t0\t0\t0\t0\t{cpu}\n")
    # Another experiment's do not count.
    other = tmp_path / "results/benchmarks/transfer/paper/natural/mnist/blocks3_n100/seeds0-4.tsv"
    other.parent.mkdir(parents=True)
    other.write_text(f"{head}1\tx\t1\t0\t0\t0\t0\t0\t0\t1\n")
    (line,) = report.run_times(said)
    assert (line["kind"], line["jobs"], line["without"]) == ("fine-tuning", 3, len(files) - 3)
    assert line["hours"] == pytest.approx((1800 + 3600 + 30.5) / 3600)
    assert line["cpu_hours"] == pytest.approx(0.5)
    assert (line["longest"], line["memory"]) == (3600, 700)


@given(st.text(st.characters(exclude_characters="*", exclude_categories=["Cs", "Cc"])), st.booleans())
def test_any_text_stays_text(text, bold):
    marked = f"**{text}**" if bold else text
    page = Page(f"<p>{report._strong(marked)}</p>")
    page.close()
    assert "".join(page.data) == (text if text or not bold else marked)
    assert {tag for tag, _ in page.tags} <= {"p", "strong"}
    page = Page(f"<p>{report._breakable(text)}</p>")
    page.close()
    assert "".join(page.data) == text
    assert len(page.of("wbr")) == text.count("_")


def test_cells_in_words():
    values = [1.0, 0.123456, math.nan, pd.NA, None, "x", 12, 1e20, 1234567.0]
    assert [report.cell_text(value) for value in values] == ["1", "0.1235", "", "", "", "x", "12", "1e+20", "1234567"]
