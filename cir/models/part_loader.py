"""One part of a set -> its model: where it lies, loaded now or when it is used, or a sentence why it is not here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from cir.errors import CirError
from cir.models.catalog import has_source, how_to_put, place_of
from cir.models.deferred import ONE_AT_A_TIME, Deferred, KnownModels
from cir.models.published import Part

Built = TypeVar("Built")
PULL = "python -m cir models pull"


class PartLoader:
    """Loads the parts of one set.

    Args:
        name: of the set.
        shipped: where the embedded models lie.
        folder: the models folder.
        deferred: what was loaded before, and has not changed, is loaded only when it is used or by `load_all`.

    Attributes:
        missing: part -> why it is not here, and what to do. Filled as parts are asked for.
        pull: the command that fetches what is missing.
    """

    def __init__(self, name: str, *, shipped: Path, folder: Path, deferred: bool) -> None:
        self.folder, self._shipped = folder, shipped
        self.missing: dict[str, str] = {}
        self._name, self.pull = name, f"{PULL} {name}"
        self._known = KnownModels(folder) if deferred else None
        self._waiting: list[Deferred] = []

    @property
    def ready(self) -> bool:
        """Whether nothing that was put off is still to be loaded by `load_all`."""
        return not self._waiting

    def load_all(self) -> None:
        """Load what was put off, in the order in which it was asked for.

        Raises:
            CirError: one could not be loaded; whoever uses it is told the same.
        """
        while self._waiting:
            try:
                self._waiting[0].load()
            finally:
                self._waiting.pop(0)

    def open(self, path: Path, make: Callable[[Path], Built]) -> Built:
        """The model at `path`, or what stands for it, if it was loaded at an earlier start and has not changed."""
        known = self._known
        facts = known.facts(path) if known is not None else None
        if known is None or facts is None:
            with ONE_AT_A_TIME:
                model = make(path)
            if known is not None:
                known.record(path, model)
            return model

        def check() -> Built:
            model = make(path)
            known.record(path, model)  # what is found now counts at the next start
            return model

        later = Deferred(facts, check)
        self._waiting.append(later)
        return cast("Built", later)

    def made_of_others(self, make: Callable[[], Built]) -> Built:
        """What is made of models of other parts: now, or with them where any is put off."""
        if not self._waiting:
            return make()
        later = Deferred({}, make)
        self._waiting.append(later)
        return cast("Built", later)

    def load(
        self,
        what: str,
        part: Part | None,
        make: Callable[[Path], Built],
        lost: str,
        path: Path | None = None,
        *,
        at_once: bool = False,
    ) -> Built | None:
        """Load a part, or note in `missing` why that cannot be, and what is left out without it.

        Args:
            what: the part, for people.
            part: None where it is at `path`.
            make: the model of what is at a path; may raise any `CirError`.
            lost: what is left out without it.
            path: where it is, in place of the part's own.
            at_once: never put it off: a language model's own process does the loading.
        """
        try:
            found = path if part is None else self.place_of(part)
            if found is not None:
                return make(found) if at_once else self.open(found, make)
            assert part is not None
            why = f"{part.name} is not here. {self.remedy(part)}"
        except CirError as error:
            why = str(error)
        self.missing[what] = f"There is no {what}, so {lost}. {why}"
        return None

    def place_of(self, part: Part) -> Path | None:
        """Where a part is, or None.

        Raises:
            UnsafeFile: it is there, with another hash than it should have.
        """
        if part.shipped:
            path = self._shipped / part.shipped
            return path if path.exists() else None
        return place_of(part, self.folder)

    def remedy(self, part: Part) -> str:
        """How a part that is not here can be had, in sentences."""
        if part.shipped:
            how = f"python -m cir train {part.trained_by}".strip()
            return f"Restore assets/models/{part.shipped} from the repository, or train it: {how}"
        ways = [self._fetching(part)] if part.fetched else []
        if part.made:
            ways.append(f"Make one on this computer, in about a quarter of an hour: {self.pull}")
        return " Or else: ".join(ways)

    def _fetching(self, part: Part) -> str:
        if not has_source(part):
            return how_to_put(part, self.folder)
        accept = f" --accept-noncommercial (licence: {part.licence})" if part.noncommercial else ""
        return f"Fetch it: {PULL} {part.asked_for or self._name}{accept}"
