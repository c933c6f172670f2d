"""What is below httpx's clients: connections whose answers are unpacked once at most.

httpx unpacks each piece of an answer as a whole, through every coding that the answer names.  Five
hundred bytes that were packed twice are hundreds of megabytes before anybody can count them; of
what was packed once, a piece grows to some tens at most.
"""

from __future__ import annotations

import httpx


class Transport(httpx.AsyncHTTPTransport):
    """httpx's own, which refuses what was packed more than once."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer; raises RemoteProtocolError, and what httpx raises."""
        answer = await super().handle_async_request(request)
        if len(answer.headers.get_list("content-encoding", split_commas=True)) > 1:
            await answer.aclose()
            raise httpx.RemoteProtocolError("The answer was packed more than once.")
        return answer
