"""A file of claims that means nothing is refused with one line: the claim, the key, what was found, the remedy."""

import copy
import re

import pytest
import yaml

from advtransfer.config.catalogue import CATALOGUE, ROLES
from advtransfer.config.claims import FIGURES, STATISTICS, TABLES, read_claims
from advtransfer.errors import InputError
from experiments import PROJECT

FILE, SCHEMA = PROJECT / "resources/claims.yaml", PROJECT / "resources/claims.schema.yaml"
CLAIM = {
    **{"id": "one", "paper": "utrera", "section": "Fig. 2", "claim": "robust is ahead", "statistic": "difference"},
    **{"evidence": "rows", "plus": {"role": "robust"}, "minus": {"role": "natural"}, "condition": {"above": 0}},
}
PRINTED = {**CLAIM, "evidence": "printed"}


def read(folder, *claims, level=0.05):
    (folder / "claims.yaml").write_text(yaml.safe_dump({"level": level, "claims": list(claims)}))
    return read_claims(folder / "claims.yaml", SCHEMA)


def without(key):
    claim = copy.deepcopy(CLAIM)
    del claim[key]
    return claim


def test_the_projects_own_claims_are_read():
    content = read_claims(FILE, SCHEMA)
    assert content["level"] == 0.05
    papers = [claim["paper"] for claim in content["claims"]]
    assert papers.count("utrera") >= 45
    assert all(papers.count(paper) >= 3 for paper in ("liang", "nern", "zhang"))
    assert {claim["statistic"] for claim in content["claims"]} == set(STATISTICS)


def test_names_are_those_of_the_catalogue_and_the_schema():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    assert schema["$defs"]["role"]["enum"] == list(ROLES)
    assert set(schema["$defs"]["claim"]["properties"]["statistic"]["enum"]) == set(STATISTICS)
    assert {*TABLES, *FIGURES} <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ([without("id")], r"^claims\.yaml: claim 1: 'id' is a required property\. A claim has id"),
        ([without("condition")], r"claim 'one': statistic 'difference' needs 'condition'\. Add it\.$"),
        (
            [CLAIM | {"statistic": "diference"}],
            r"claim 'one', statistic: found 'diference'\. Choose one of: difference,",
        ),
        ([CLAIM | {"plus": {"role": "robut"}}], r"claim 'one', plus\.role: found 'robut'\. Choose one of: natural"),
        ([CLAIM | {"plus": {"role": "robust", "block": 3}}], r"claim 'one', plus: Additional properties .*'block'"),
        ([CLAIM | {"condition": {"above": "x * 2"}}], r"condition\.above: found 'x \* 2'\. Give a number\.$"),
        ([CLAIM | {"condition": {"above": 0, "below": 1}}], r"claim 'one', condition: found .* Give one of above"),
        (
            [CLAIM | {"condition": {"between": [2, 1]}}],
            r"condition\.between: found \[2, 1\]\. Give the lower end first",
        ),
        ([CLAIM | {"evidence": "logs"}], r"claim 'one', evidence: found 'logs'\. Choose one of: rows, printed\.$"),
        ([CLAIM | {"within": 1}], r"claim 'one': statistic 'difference' takes no 'within'\. Choose one of"),
        ([CLAIM | {"id": "One"}], r"claim 'One', id: found 'One'\. Use small letters, digits and hyphens\.$"),
        ([CLAIM, CLAIM], r"claim 'one' occurs twice\. Rename one\.$"),
        ([CLAIM, CLAIM | {"id": "two"}], r"claim 'two' repeats another one's words\. Say what differs\.$"),
        ([PRINTED | {"plus": {"role": "robust", "blocks": 1}}], r"Table 5 prints the last epoch of 3 blocks only"),
        (
            [CLAIM | {"statistic": "rank_correlation", "condition": {"above": 0.5}}],
            r"a correlation of 0\. Write 'above: 0'",
        ),
        ([], r"claims: found \[\]\. Give a list of claims\.$"),
        (["words"], r"claim 1: found 'words'\. A claim has id"),
    ],
)
def test_what_means_nothing_is_refused_with_one_line(tmp_path, claims, words):
    with pytest.raises(InputError, match=words) as error:
        read(tmp_path, *claims)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_levels_and_broken_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"level: found 5\. Give the level of the tests, such as 0\.05\.$"):
        read(tmp_path, CLAIM, level=5)
    (tmp_path / "claims.yaml").write_text("level: [0.05\n")
    with pytest.raises(InputError, match=r"claims\.yaml.*Correct it") as error:
        read_claims(tmp_path / "claims.yaml", SCHEMA)
    assert "\n" not in str(error.value)
    (tmp_path / "claims.yaml").write_text("level: 0.05\nlevel: 0.1\nclaims: []\n")
    with pytest.raises(InputError, match="given twice"):
        read_claims(tmp_path / "claims.yaml", SCHEMA)
    with pytest.raises(InputError, match="no such file"):
        read_claims(tmp_path / "nothing.yaml", SCHEMA)


def test_nothing_in_the_file_is_run(tmp_path):
    """A statement is names and numbers: tags that build objects are no YAML here."""
    (tmp_path / "claims.yaml").write_text("level: !!python/object/apply:os.getcwd []\nclaims: []\n")
    with pytest.raises(InputError, match="no YAML"):
        read_claims(tmp_path / "claims.yaml", SCHEMA)
    source = (PROJECT / "scripts/advtransfer/tables/claim_cells.py").read_text(encoding="utf-8")
    assert not re.search(r"\b(eval|exec|query)\(", source)
