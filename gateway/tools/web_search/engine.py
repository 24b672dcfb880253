"""Search engines for `web_search`: `ddgs`, in threads and with a deadline."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gateway.domain.config.web_tools import WebSearchConfig

if TYPE_CHECKING:
    from ddgs import DDGS

SearchKind = Literal["text", "news"]
SearchFailureReason = Literal["nothing", "refused", "timeout", "unreachable", "no_engine"]
Row = dict[str, Any]

_THREADS = 8


class SearchFailed(Exception):
    """A search has no results; `reason` says why."""

    def __init__(self, reason: SearchFailureReason) -> None:
        super().__init__(reason)
        self.reason: SearchFailureReason = reason


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search; `time_range` is d, w, m or y, `seconds` is the time limit."""

    text: str
    region: str
    time_range: str | None
    max_results: int
    seconds: float


class SearchEngine(Protocol):
    """What `web_search` needs of a search engine."""

    async def search(self, kind: SearchKind, query: SearchQuery) -> list[Row]:
        """Return rows in the format of `ddgs`, best first.

        Raises SearchFailed if there are none.
        """
        ...

    def close(self) -> None:
        """Stop the engine's threads."""


class DdgsEngine:
    """Searches with `ddgs`.

    Each search has its own `DDGS`, which stores cookies and is not thread-safe.
    """

    def __init__(self, config: WebSearchConfig) -> None:
        self._backend = config.backend
        self._safesearch = config.safesearch
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="web-search")
        # Their log messages contain the query.
        for name in ("ddgs", "primp"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    async def search(self, kind: SearchKind, query: SearchQuery) -> list[Row]:
        # Counted from here, since a query may wait for a thread.
        deadline = time.monotonic() + query.seconds
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._search, kind, query, deadline)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _search(self, kind: SearchKind, query: SearchQuery, deadline: float) -> list[Row]:
        # Imported here, because it takes a tenth of a second and many gateways never search.
        from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

        backend = _select_backend(kind, self._backend)
        statuses = _EngineStatuses(deadline)
        # Half of the time per engine, so that one that does not answer leaves time for others.
        client = _monitored_client(statuses, max(1, math.ceil(query.seconds / 2)))
        search: Callable[..., list[Row]] = client.text if kind == "text" else client.news
        try:
            return search(
                query.text,
                region=query.region,
                safesearch=self._safesearch,
                timelimit=query.time_range,
                max_results=query.max_results,
                backend=backend,
            )
        except RatelimitException:
            raise SearchFailed("refused") from None
        except TimeoutException:
            raise SearchFailed("timeout") from None
        except DDGSException:
            raise SearchFailed(statuses.failure_reason()) from None
        except (TypeError, ValueError, AttributeError, LookupError):
            # ddgs processes what sites send without checking types.
            raise SearchFailed("unreachable") from None


def _select_backend(kind: SearchKind, configured: str) -> str:
    """Return the configured engines that support this kind.

    Without any, ddgs would use all of its engines.
    """
    from ddgs.engines import ENGINES

    if configured == "auto":
        return configured
    supported = [name for name in configured.split(",") if name in ENGINES[kind]]
    if not supported:
        raise SearchFailed("no_engine")
    return ",".join(supported)


class _EngineStatuses:
    """Records HTTP statuses of the engines.

    This is needed because ddgs does not distinguish a rejection from an empty page.
    """

    _REFUSALS = frozenset({202, 401, 403, 418, 429, 503})  # DuckDuckGo sends 202 for too many requests

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.statuses: list[int] = []

    def failure_reason(self) -> SearchFailureReason:
        if 200 in self.statuses:
            return "nothing"
        if self._REFUSALS.intersection(self.statuses):
            return "refused"
        return "timeout" if time.monotonic() >= self.deadline else "unreachable"


def _monitored_client(statuses: _EngineStatuses, seconds: int) -> DDGS:
    """Return a `DDGS` that records every status, and starts no request after the deadline."""
    from ddgs import DDGS
    from ddgs.exceptions import TimeoutException
    from ddgs.http_client import HttpClient, Response

    class Client(HttpClient):
        def __init__(self, inner: HttpClient) -> None:
            self.client = inner.client

        def request(self, *args: Any, **kwargs: Any) -> Response:
            if time.monotonic() >= statuses.deadline:
                raise TimeoutException("timed out")
            response = super().request(*args, **kwargs)
            statuses.statuses.append(response.status_code)
            return response

    class Watched(DDGS):
        def _get_engines(self, category: str, backend: str) -> list[Any]:
            engines = super()._get_engines(category, backend)
            for engine in engines:
                engine.http_client = Client(engine.http_client)
            return engines

    return Watched(timeout=seconds)
