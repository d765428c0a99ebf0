"""The searches of programs, kept for a while, so that later calls can speak of them."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from threading import Lock

from cir.errors import BadQuery
from cir.ui.server.programs.arguments import shown
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


class Searches:
    """The searches of programs, as many as `capacity`; the one that was used longest ago goes first."""

    def __init__(self, capacity: int = SEARCHES_KEPT) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str, KeptSearch] = OrderedDict()
        self._last: OrderedDict[str, str] = OrderedDict()  # caller -> id of the last search
        self._lock = Lock()

    def keep(self, search: KeptSearch) -> None:
        """Keep a search as it now is, as its caller's last one."""
        with self._lock:
            self._kept[search.search_id] = replace(search, state=replace(search.state))
            self._last[search.caller] = search.search_id
            self._kept.move_to_end(search.search_id)
            self._last.move_to_end(search.caller)
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
            while len(self._last) > self._capacity:
                self._last.popitem(last=False)

    def find(self, search_id: object, caller: str) -> KeptSearch:
        """A search by its id, or the caller's last one; a copy, which is `caller`'s to go on from.

        Raises:
            BadQuery: there is none, or it is not kept any more.
        """
        if search_id not in (None, "") and not isinstance(search_id, str):
            raise BadQuery(
                f"search_id has to be a text, not {shown(search_id)}.",
                'Send found["search_id"] of the search that is meant.',
            )
        with self._lock:
            name = str(search_id or self._last.get(caller, ""))
            kept = self._kept.get(name)
        if kept is None:
            message = (
                f"search_id: {shown(name)} is not kept any more."
                if search_id
                else "There is nothing to rank yet."
            )
            raise BadQuery(message, "Search first, with /search.")
        return replace(kept, caller=caller, state=replace(kept.state, steps=[]))
