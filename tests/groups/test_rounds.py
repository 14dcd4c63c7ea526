from hypothesis import given
from hypothesis import strategies as st

from gasl.groups.rounds import rounds


@st.composite
def networks(draw):
    names = [f"w{i}" for i in range(draw(st.integers(1, 8)))]
    reads = draw(st.lists(st.lists(st.sampled_from([*names, "v"]), min_size=1, unique=True), min_size=1, max_size=6))
    order = draw(st.permutations([name for name in names if any(name in each for each in reads)]))
    silent = [[f"b{i}"] * draw(st.integers(0, 1)) for i in range(len(reads))]
    return order, reads, [each + more for each, more in zip(reads, silent, strict=True)]


@given(networks())
def test_nothing_is_used_before_it_is_known_and_nothing_is_left_out(network):
    order, reads, writes = network
    read, known, written = [], [], []
    for now in rounds(order, reads, writes):
        assert now.axes
        assert not set(now.read) & set(written)  # norms are those of the weights as they came in
        read += now.read
        assert all(set(reads[axis]) - {"v"} <= set(read) for axis in now.axes)
        known += now.axes
        assert all(axis in known for name in now.write for axis, names in enumerate(writes) if name in names)
        written += now.write
    assert read == order
    assert sorted(known) == list(range(len(reads)))
    assert sorted(written) == sorted({name for names in writes for name in names})


def test_a_chain_is_written_one_behind():
    reads = [["a", "b"], ["b", "c"], ["c", "d"]]
    assert [now.write for now in rounds("abcd", reads, reads)] == [("a",), ("b",), ("c", "d")]
    assert [now.write for now in rounds("dcba", reads, reads)] == [("d",), ("c",), ("a", "b")]
