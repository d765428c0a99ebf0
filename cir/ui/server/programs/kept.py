"""The searches of programs, kept for a while, so that later calls can speak of them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from threading import Lock

from cachetools import LRUCache

from cir.errors import BadQuery
from cir.ui.server.programs.arguments import shown, unfit
from cir.ui.session import Session

SEARCHES_KEPT = 500


@dataclass(frozen=True, slots=True)
class KeptSearch:
    """One search of a program.

    Attributes:
        caller: who asked.
        gallery: the name under which its gallery is listed.
        state: what was composed, and how it is ranked.
        search_id: by which it is named.
    """

    caller: str
    gallery: str
    state: Session
    search_id: str = field(default_factory=lambda: secrets.token_urlsafe(9))


class KeptSearches:
    """The searches of programs, as many as `capacity`; the one that was used longest ago goes first."""

    def __init__(self, capacity: int = SEARCHES_KEPT) -> None:
        self._searches: LRUCache[str, KeptSearch] = LRUCache(capacity)
        self._last: LRUCache[str, str] = LRUCache(capacity)  # caller -> id of the last search
        self._lock = Lock()

    def keep(self, search: KeptSearch) -> None:
        """Keep a search as it now is, as its caller's last one."""
        with self._lock:
            self._searches[search.search_id] = replace(search, state=replace(search.state))
            self._last[search.caller] = search.search_id

    def find(self, search_id: object, caller: str) -> KeptSearch:
        """A search by its id, or the caller's last one; a copy, which is `caller`'s to go on from.

        Raises:
            BadQuery: there is none, or it is not kept any more.
        """
        if search_id not in (None, "") and not isinstance(search_id, str):
            remedy = 'Send found["search_id"] of the search that is meant.'
            raise unfit("search_id", "a text", search_id, remedy)
        with self._lock:
            kept = self._searches.get(str(search_id or self._last.get(caller, "")))
        if kept is None:
            gone = f"search_id: {shown(search_id)} is not kept any more."
            raise BadQuery(
                gone if search_id else "There is nothing to rank yet.", "Search first, with /search."
            )
        return replace(kept, caller=caller, state=replace(kept.state, steps=[]))
