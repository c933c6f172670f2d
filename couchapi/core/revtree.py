"""The revision tree: every edit of one document, and who descends from whom.

An edit names its parent, so the history of a document is a tree.  Two hubs that edit the same
document while apart grow two branches; replication joins the branches into one tree, and the tips
("leaves") that are not deleted are the document's conflicting versions.  Nothing is lost by
joining, and joining in any order gives the same tree.

Only the newest `revs_limit` ancestors of a leaf are kept ("stemming"), so the oldest node we hold
may name a parent we no longer hold.  As in CouchDB, an old revision that arrives by itself after
its descendants' histories were stemmed is a leaf of its own, a conflict; it ceases to be one when
a history arrives that joins the two.

A tree is a map from revision to node (CouchDB nests the same data, couch_key_tree.erl; flat,
joining two histories is a union).  The one idea is how the map is kept: as *chains*, one for each
leaf, of text with a line for each edit, newest first, until the root or an edit that another
chain holds already.  So the leaves need no search, an edit onto a leaf is one line put before a
text whatever its length, and the stored form is that text.  The map itself is built when somebody
asks for it: when branches fork.

    3            generation of the leaf
    1c0ff…       newest first.  The first character: 0 bare, 1 with body, 2 deleted, 3 both
    0beef…
    ^a11ce…      the parent stands in another chain; absent at the root and where we stemmed

A space stands between chains: no rev id has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from couchapi.core.revid import RevId

_BODY: Final = 1
_DELETED: Final = 2
_ELSEWHERE: Final = "^"
_BETWEEN: Final = " "


class Node(NamedTuple):
    """One edit.  `parent` is None at the root, or where we stemmed.

    Of an ancestor without a body we know no more than its name: `deleted` may be missing then.
    """

    parent: RevId | None
    deleted: bool = False
    has_body: bool = True


class Chain(NamedTuple):
    """A leaf and its ancestors, as far as no other chain holds them."""

    tip: RevId
    deleted: bool
    lines: str

    def line_of(self, rev: RevId) -> int:
        """Return how many lines above `rev` stand, -1 when this chain does not hold it."""
        steps = self.tip.pos - rev.pos
        if steps <= 0:
            return 0 if rev == self.tip else -1
        lines = self.lines.split("\n", steps + 1)
        if len(lines) <= steps or lines[steps][0] == _ELSEWHERE:
            return -1
        return steps if lines[steps][1:] == rev.hash else -1

    def below(self, index: int) -> tuple[list[RevId], RevId | None]:
        """Return the revisions from line `index` on, and their parent in another chain."""
        lines = self.lines.split("\n")[index:]
        pos = self.tip.pos - index
        fork = None
        if lines[-1][0] == _ELSEWHERE:
            fork = RevId(pos + 1 - len(lines), lines.pop()[1:])
        return [RevId(pos - step, line[1:]) for step, line in enumerate(lines)], fork

    def size(self) -> int:
        """Return how many revisions this chain holds."""
        return self.lines.count("\n") + 1 - self.lines.count("\n^")


class RevTree(Mapping[RevId, Node]):
    """The history of one document; never changed in place."""

    __slots__ = ("_nodes", "chains")

    def __init__(self, chains: Sequence[Chain] = ()) -> None:
        self.chains = chains
        self._nodes: dict[RevId, Node] | None = None

    def nodes(self) -> dict[RevId, Node]:
        """Return the map itself; the caller must not change it."""
        if self._nodes is None:
            self._nodes = {rev: node for chain in self.chains for rev, node in _nodes(chain)}
        return self._nodes

    def __getitem__(self, rev: RevId) -> Node:
        return self.nodes()[rev]

    def __contains__(self, rev: object) -> bool:
        return isinstance(rev, RevId) and any(chain.line_of(rev) >= 0 for chain in self.chains)

    def __iter__(self) -> Iterator[RevId]:
        return iter(self.nodes())

    def __len__(self) -> int:
        return sum(chain.size() for chain in self.chains)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, RevTree) and self.nodes() == other.nodes()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RevTree({encode(self)!r})"


EMPTY: Final = RevTree()


def from_nodes(nodes: Mapping[RevId, Node]) -> RevTree:
    """Build a tree from the map; a parent that is not in the map counts as stemmed."""
    parents = {node.parent for node in nodes.values()}
    tips = [rev for rev in nodes if rev not in parents]
    tips.sort(key=lambda rev: (not nodes[rev].deleted, rev), reverse=True)
    placed: set[RevId] = set()
    return RevTree([_chain(nodes, tip, placed) for tip in tips])


def merge(tree: RevTree, revs: Sequence[RevId], deleted: bool = False) -> RevTree:
    """Join a history, newest first, whose newest edit comes with its body.

    Each revision must be the parent of the one before it, one generation apart.  A node that both
    sides hold keeps the fuller account: a known parent beats an unknown one, a body beats none.
    Two accounts that name different parents for one revision come from no honest replica: we keep
    ours and read no further, so that no bodiless leaf can appear.
    """
    for at, chain in enumerate(tree.chains):
        steps = revs[0].pos - chain.tip.pos
        if 0 <= steps < len(revs) and revs[steps] == chain.tip:
            if not _tells_nothing_older(tree, chain, revs, steps):
                break
            return _grown(tree, at, revs[:steps], deleted) if steps else tree
    if not tree.chains:
        return RevTree((_started(revs, deleted),))
    nodes = dict(tree.nodes())
    _add(nodes, revs, deleted)
    return from_nodes(nodes)


def begun(rev: RevId) -> RevTree:
    """The tree of a new document: what `merge` makes of one live revision."""
    return RevTree((Chain(rev, False, f"{_BODY}{rev.hash}"),))


def leaves(tree: RevTree) -> list[RevId]:
    """The tips, best first: live before deleted, then deeper, then larger hash."""
    return [chain.tip for chain in tree.chains]


def live_leaves(tree: RevTree) -> list[RevId]:
    """The tips that are not deleted, best first."""
    return [chain.tip for chain in tree.chains if not chain.deleted]


def winner(tree: RevTree) -> RevId | None:
    """The revision every replica shows, chosen without asking any other replica."""
    return tree.chains[0].tip if tree.chains else None


def is_deleted(tree: RevTree) -> bool:
    """Say whether no leaf is live; an empty tree is not deleted."""
    return bool(tree.chains) and tree.chains[0].deleted


def conflicts(tree: RevTree) -> list[RevId]:
    """Live leaves that lost."""
    return [chain.tip for chain in tree.chains[1:] if not chain.deleted]


def deleted_conflicts(tree: RevTree) -> list[RevId]:
    """Deleted leaves that lost."""
    return [chain.tip for chain in tree.chains[1:] if chain.deleted]


def ancestry(tree: RevTree, rev: RevId) -> list[RevId]:
    """`rev` and its known ancestors, newest first: the order of `_revisions`.  [] if unknown."""
    path: list[RevId] = []
    cursor: RevId | None = rev
    while cursor is not None:
        holder = _holder(tree, cursor)
        if holder is None:
            break
        chain, index = holder
        revs, cursor = chain.below(index)
        path += revs
    return path


def hashes(tree: RevTree, rev: RevId) -> list[str]:
    """The hashes of `ancestry`; for the winner of a tree that does not fork, read off its text."""
    first = tree.chains[0]
    if first.tip == rev and len(tree.chains) == 1:
        return [line[1:] for line in first.lines.split("\n")]
    return [one.hash for one in ancestry(tree, rev)]


def read_unforked(data: bytes) -> tuple[int, list[str]]:
    """Read off an encoded tree of one leaf its generation and all hashes, newest first."""
    pos, *lines = data.decode().split("\n")
    return int(pos), [line[1:] for line in lines]


def latest(tree: RevTree, rev: RevId) -> list[RevId]:
    """The leaves that descend from `rev`, best first: what `latest=true` asks for."""
    tips = leaves(tree)
    return [rev] if rev in tips else [tip for tip in tips if rev in ancestry(tree, tip)]


def missing(tree: RevTree, revs: Iterable[RevId]) -> list[RevId]:
    """Those of `revs` this tree has never heard of: what `_revs_diff` answers."""
    if len(tree.chains) == 1:
        holds = tree.chains[0].line_of
        return [rev for rev in revs if holds(rev) < 0]
    return [rev for rev in revs if rev not in tree]


def possible_ancestors(tree: RevTree, rev: RevId) -> list[RevId]:
    """The leaves of a lower generation than `rev`, which its sender may have built on."""
    return [tip for tip in leaves(tree) if tip.pos < rev.pos]


def stem(tree: RevTree, revs_limit: int) -> RevTree:
    """Forget ancestors more than `revs_limit` back from every leaf."""
    if all(chain.tip.pos <= revs_limit for chain in tree.chains):
        return tree
    if len(tree.chains) == 1:
        chain = tree.chains[0]
        kept = chain.lines.split("\n", revs_limit)[:revs_limit]
        return RevTree((chain._replace(lines="\n".join(kept)),))
    near = {rev for tip in leaves(tree) for rev in ancestry(tree, tip)[:revs_limit]}
    return tree if len(near) == len(tree) else _only(tree, near)


def without_leaves(tree: RevTree, revs: Iterable[RevId]) -> tuple[RevTree, list[RevId]]:
    """Forget leaves and the ancestors that only they have: what `_purge` does.

    Returns the rest and the leaves that were removed; a revision that is no leaf stays.
    """
    asked = set(revs)
    purged = [tip for tip in leaves(tree) if tip in asked]
    if not purged:
        return tree, []
    kept = {rev for tip in leaves(tree) if tip not in asked for rev in ancestry(tree, tip)}
    return _only(tree, kept), purged


def without_old_bodies(tree: RevTree) -> RevTree:
    """Note that only leaves have bodies: what `_compact` does."""
    return RevTree([chain._replace(lines=_bare(chain.lines)) for chain in tree.chains])


def encode(tree: RevTree) -> bytes:
    """Write the tree as it is stored; the same tree may be written in several ways."""
    return _BETWEEN.join([f"{chain.tip.pos}\n{chain.lines}" for chain in tree.chains]).encode()


def decode(data: bytes) -> RevTree:
    """Read what `encode` wrote."""
    if not data:
        return EMPTY
    return RevTree([_read_chain(text) for text in data.decode().split(_BETWEEN)])


def _holder(tree: RevTree, rev: RevId) -> tuple[Chain, int] | None:
    for chain in tree.chains:
        index = chain.line_of(rev)
        if index >= 0:
            return chain, index
    return None


def _read_chain(text: str) -> Chain:
    pos, _, lines = text.partition("\n")
    return Chain(_tip(int(pos), lines), lines[0] in "23", lines)


def _tip(pos: int, lines: str) -> RevId:
    return RevId(pos, lines[1 : lines.find("\n")] if "\n" in lines else lines[1:])


def _nodes(chain: Chain) -> Iterator[tuple[RevId, Node]]:
    revs, fork = chain.below(0)
    parents = [*revs[1:], fork]
    for rev, parent, line in zip(revs, parents, chain.lines.split("\n"), strict=False):
        yield rev, Node(parent, line[0] in "23", line[0] in "13")


def _chain(nodes: Mapping[RevId, Node], tip: RevId, placed: set[RevId]) -> Chain:
    lines = []
    cursor: RevId | None = tip
    while cursor is not None and cursor in nodes:
        if cursor in placed:
            lines.append(_ELSEWHERE + cursor.hash)
            break
        placed.add(cursor)
        node = nodes[cursor]
        lines.append(f"{node.deleted * _DELETED + node.has_body * _BODY}{cursor.hash}")
        cursor = node.parent
    return Chain(tip, nodes[tip].deleted, "\n".join(lines))


def _started(revs: Sequence[RevId], deleted: bool, older: str = "") -> Chain:
    newest = f"{deleted * _DELETED + _BODY}{revs[0].hash}"
    if len(revs) > 1:
        newest += "\n0" + "\n0".join([rev.hash for rev in revs[1:]])
    return Chain(revs[0], deleted, newest + older)


def _grown(tree: RevTree, at: int, revs: Sequence[RevId], deleted: bool) -> RevTree:
    grown = _started(revs, deleted, "\n" + tree.chains[at].lines)
    if len(tree.chains) == 1:
        return RevTree((grown,))
    return RevTree(_ranked([*tree.chains[:at], grown, *tree.chains[at + 1 :]]))


def _ranked(chains: Iterable[Chain]) -> list[Chain]:
    return sorted(chains, key=lambda chain: (not chain.deleted, chain.tip), reverse=True)


def _tells_nothing_older(tree: RevTree, chain: Chain, revs: Sequence[RevId], steps: int) -> bool:
    """Say whether `revs` adds nothing below the leaf it builds on, and only new edits above."""
    if len(revs) - steps > 1 and len(revs) - steps > chain.size():
        return False
    return len(tree.chains) == 1 or not any(rev in tree for rev in revs[:steps])


def _add(nodes: dict[RevId, Node], revs: Sequence[RevId], deleted: bool) -> None:
    parents: list[RevId | None] = [*revs[1:], None]
    for step, (rev, parent) in enumerate(zip(revs, parents, strict=True)):
        theirs = Node(parent, deleted and not step, not step)
        ours = nodes.get(rev)
        nodes[rev] = theirs if ours is None else _fuller(ours, theirs)
        if ours and ours.parent and ours.parent != parent:
            return


def _fuller(ours: Node, theirs: Node) -> Node:
    if ours.has_body or not theirs.has_body:
        return ours._replace(parent=ours.parent or theirs.parent)
    return Node(ours.parent or theirs.parent, ours.deleted or theirs.deleted, has_body=True)


def _only(tree: RevTree, kept: set[RevId]) -> RevTree:
    nodes = {rev: node for rev, node in tree.items() if rev in kept}
    return from_nodes(
        {
            rev: node if node.parent in kept else node._replace(parent=None)
            for rev, node in nodes.items()
        }
    )


def _bare(lines: str) -> str:
    return lines.replace("\n1", "\n0").replace("\n3", "\n2")
