"""The HTTP below the SDKs: all three use the same library and take a client of
it from outside."""

from __future__ import annotations

import httpx2


class Wire:
    """An HTTP client that counts what it sends. Proxies of the machine are of
    no use to a gateway on the loopback."""

    def __init__(self) -> None:
        self.requests = 0
        hooks = {"request": [self._count]}
        self.http = httpx2.Client(event_hooks=hooks, trust_env=False, follow_redirects=True)

    def _count(self, _request: httpx2.Request) -> None:
        self.requests += 1
