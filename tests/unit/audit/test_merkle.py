"""The tree is that of RFC 6962, and grows without hashing anything twice."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.merkle import Frontier
from gateway.audit.verifier import Chain

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Public test vectors of certificate transparency: the roots over the first 0, 1, … 8 leaves."""

HASHES = st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=70)


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word: split at the largest power of two below the count."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_by_definition(leaves[:split]) + root_by_definition(leaves[split:])).digest()


@pytest.mark.parametrize("tree", [Frontier(), Chain()], ids=["gateway", "verifier"])
def test_the_public_test_vectors_come_out(tree: Frontier | Chain) -> None:
    roots = [tree.root()]
    for leaf in LEAVES:
        tree.push(leaf)
        roots.append(tree.root())

    assert roots == ROOTS


@given(HASHES)
def test_a_grown_tree_has_the_root_of_the_definition(hashes: list[str]) -> None:
    tree, other = Frontier(), Chain()
    for leaf in hashes:
        tree.push(leaf)
        other.push(leaf)

    assert tree.root() == other.root() == root_by_definition([bytes.fromhex(leaf) for leaf in hashes]).hex()


@given(HASHES, st.integers(0, 70))
def test_a_tree_taken_up_from_its_text_goes_on_as_if_never_put_down(hashes: list[str], pause: int) -> None:
    whole, first = Frontier(), Frontier()
    for leaf in hashes:
        whole.push(leaf)
    for leaf in hashes[:pause]:
        first.push(leaf)

    second = Frontier.from_text(first.size, first.to_text())
    for leaf in hashes[pause:]:
        second.push(leaf)

    assert (second.size, second.root(), second.to_text()) == (whole.size, whole.root(), whole.to_text())


@pytest.mark.parametrize(("size", "text"), [(1, ""), (3, "ab" * 32), (0, "ab" * 32), (1, "xy" * 32)])
def test_a_text_of_another_size_is_refused(size: int, text: str) -> None:
    with pytest.raises(ValueError, match=r"frontier|hexadecimal"):
        Frontier.from_text(size, text)
