"""Attachments later than documents: two passes, of which the first leaves attachments out.

The first brings every document that has none, and steps over the others: nothing is ever stored
without a content that it names.  When it has caught up, the second brings what it has stepped over,
as far as what is done in the background may run now; it begins anew with the first pass whenever a
slice is over, so that new documents never wait for old attachments.  Each pass has a checkpoint of
its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from acl import sql
from replication.core import job as words
from replication.core.job import Priority
from replication.core.options import LATER, Options
from replication.replicator import Result
from replication.store import policy
from replication.store.links import Claim

Run = Callable[[Options], Awaitable[Result]]


async def replicated(claim: Claim, run: Run) -> Result:
    """Run one pass or two; `Result.left` tells of how many documents attachments are missing."""
    options = words.read_options(claim.options)
    if options.attachments != LATER:
        return await run(options)
    first = await run(replace(options, documents_only=True))
    first.left += claim.attachments_left
    if not first.caught_up or not await _may_go_on(claim):
        return first
    second = await run(options)
    second.left = 0 if second.caught_up else max(1, first.left - second.counts["docs_written"])
    second.failures += first.failures
    return second


async def _may_go_on(claim: Claim) -> bool:
    """Tell whether attachments may come now: somebody waits for them, or nothing speaks against."""
    kept = await sql.point(policy.read)
    return claim.transient or claim.forced or Priority.BACKGROUND in kept.running()
