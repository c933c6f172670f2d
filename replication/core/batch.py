"""Batches that a target takes at once: neither too many documents nor too many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

MOST_BYTES = 4 * 1024 * 1024
MOST_DOCUMENTS = 500


def cut(
    items: Iterable[T],
    size_of: Callable[[T], int],
    *,
    most_bytes: int = MOST_BYTES,
    most: int = MOST_DOCUMENTS,
) -> Iterator[list[T]]:
    """Give the items in their order, in lists; one that is too large stands alone."""
    batch: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if batch and (total + size > most_bytes or len(batch) == most):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch
