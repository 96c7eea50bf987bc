"""The Merkle tree over a chain's entries: pure hashing, grown by one entry at a time.

A leaf is an entry's own hash, which covers all its fields. The tree is that of RFC 6962, so that any two of its roots
are comparable with public tools. Only the frontier is kept: the roots of the perfect subtrees that the entries fill so
far, at most one for each binary digit of their count. Nothing before it is hashed again when the chain grows.

Source: RFC 6962 §2.1 (leaf prefix 0x00, node prefix 0x01, hash of the empty tree).
"""

from __future__ import annotations

import hashlib

_DIGEST_BYTES = 32


class Frontier:
    """A tree that can grow and tell its root.

    Attributes:
        size: Leaves so far.
    """

    def __init__(self, size: int = 0, peaks: list[bytes] | None = None) -> None:
        self.size = size
        self._peaks = peaks or []

    @classmethod
    def from_text(cls, size: int, text: str) -> Frontier:
        """Take up a tree where `to_text` left it.

        Raises:
            ValueError: The text is no frontier of a tree of this size.
        """
        raw = bytes.fromhex(text)
        if len(raw) != _DIGEST_BYTES * size.bit_count():
            raise ValueError("frontier and size do not belong together")
        return cls(size, [raw[first : first + _DIGEST_BYTES] for first in range(0, len(raw), _DIGEST_BYTES)])

    def push(self, entry_hash: str) -> None:
        """Add a leaf.

        Args:
            entry_hash: 64 hex digits.

        Raises:
            ValueError: They are not hex.
        """
        node = hashlib.sha256(b"\x00" + bytes.fromhex(entry_hash)).digest()
        size = self.size
        while size & 1:
            node = _join(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> str:
        """The root over all leaves so far, 64 hex digits."""
        if not self._peaks:
            return hashlib.sha256().hexdigest()
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = _join(peak, node)
        return node.hex()

    def to_text(self) -> str:
        """The frontier as hex, the largest subtree first; 64 digits a subtree."""
        return b"".join(self._peaks).hex()


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
