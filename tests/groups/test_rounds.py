from hypothesis import given
from hypothesis import strategies as st

from gasl.groups.rounds import rounds


@st.composite
def networks(draw):
    sizes = {f"w{i}": draw(st.integers(1, 9)) for i in range(draw(st.integers(1, 8)))}
    reads = draw(st.lists(st.lists(st.sampled_from(list(sizes)), min_size=1, unique=True), min_size=1, max_size=6))
    sizes = {name: size for name, size in sizes.items() if any(name in names for names in reads)}
    silent = [[f"b{i}"] * draw(st.integers(0, 1)) for i in range(len(reads))]
    return sizes, reads, [names + more for names, more in zip(reads, silent, strict=True)]


@given(networks(), st.integers(0, 30))
def test_nothing_is_used_before_it_is_known_and_nothing_is_left_out(network, least):
    sizes, reads, writes = network
    read, known, written = [], [], []
    found = rounds(sizes, reads, writes, least)
    for now in found:
        assert now.axes
        assert not set(now.read) & set(written)  # norms are those of the weights as they came in
        read += now.read
        assert all(set(reads[axis]) <= set(read) for axis in now.axes)
        known += now.axes
        assert all(axis in known for name in now.write for axis, names in enumerate(writes) if name in names)
        written += now.write
    assert read == list(sizes)
    assert sorted(known) == list(range(len(reads)))
    assert sorted(written) == sorted({name for names in writes for name in names})
    assert all(sum(sizes[name] for name in now.read) >= least for now in found[:-1])


def test_a_chain_is_written_one_behind_and_a_bound_of_no_end_takes_one_round():
    sizes = dict.fromkeys("abcd", 5)
    reads = [["a", "b"], ["b", "c"], ["c", "d"]]
    assert [now.write for now in rounds(sizes, reads, reads, least=1)] == [("a",), ("b",), ("c", "d")]
    assert len(rounds(sizes, reads, reads, least=float("inf"))) == 1
