"""What is packed comes back, and takes little room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advtransfer.errors import InputError
from advtransfer.packing import pack, unpack

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
)


@given(json_values)
def test_what_is_packed_comes_back(value):
    assert unpack(pack(value)) == value


def test_keys_keep_their_order():
    """The last protocol of a study's list is the one that it shows."""
    assert list(unpack(pack({"second": 1, "first": 2}))) == ["second", "first"]


def test_paths_that_are_much_alike_pack_well():
    files = [
        f"results/transfer/paper/source/target/blocks{b}_n{n}/seeds0-4.parquet" for b in range(20) for n in range(99)
    ]
    assert len(pack(files)) < sum(map(len, files)) / 10


@pytest.mark.parametrize("text", ["", "abc", "????", pack([1])[:-8], "e30="])
def test_what_was_not_packed_is_refused(text):
    with pytest.raises(InputError, match=r"not what packing\.pack makes"):
        unpack(text)
