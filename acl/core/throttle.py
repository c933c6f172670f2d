"""Slowing down whoever sends wrong tokens, by address.

Nobody finds a token by trying, and behind one address there may be several applications: so right
tokens are never held up, and an address is not locked.  Only the answers to its wrong ones wait,
once there were a few: a client that goes on with an old token costs little.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

FREE: Final = 10
"""So many wrong tokens in a window are answered at once."""
WINDOW: Final = 60.0
PAUSE: Final = 1.0
"""Seconds that an answer waits after that."""
MOST: Final = 1024
"""So many addresses are remembered, those that failed last."""


class Throttle:
    """How often each address was wrong lately."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def failed(self, address: str, now: float) -> float:
        """Note a wrong token, and return how many seconds its answer should wait."""
        network = _network(address)
        began, count = self._failures.pop(network, (now, 0))
        if now - began >= WINDOW:
            began, count = now, 0
        self._failures[network] = (began, count + 1)
        if len(self._failures) > MOST:
            self._failures.popitem(last=False)
        return PAUSE if count >= FREE else 0.0


def _network(address: str) -> str:
    """Return what one sender cannot change: of IPv6 the first half, which is a whole household."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(int(parsed) >> 64)
    return str(parsed)
