"""What the page offers of other sets of models: fetch one, go on with it, and back. No gradio, no HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cir.errors import CirError, GalleryError, MissingModel
from cir.gallery.background import Indexer
from cir.models.fetching import READY, Fetching, FetchingJob, PlannedPart
from cir.ui.problems import Problem, describe_problem


@dataclass(frozen=True, slots=True)
class ModelSets:
    """The sets that a page may go on with. Only who sits at the machine is offered any.

    Attributes:
        used: the set of this page.
        shipped: the set that comes with the program.
        fetching: fetches the set that is offered.
        go_on: lets the page go on with a set: it begins anew.
    """

    used: str
    shipped: str
    fetching: Fetching
    go_on: Callable[[str], None]

    @property
    def offered(self) -> str:
        """The set that can be fetched."""
        return self.fetching.name


@dataclass(slots=True)
class ModelsSession:
    """What one page was asked and told.

    Attributes:
        asked: whether it is asked if the set is to be fetched.
        anew: the set with which the page begins anew; "" while it stays.
        problem: why nothing came of the last click.
    """

    asked: bool = False
    anew: str = ""
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class ModelsScreen:
    """What is shown.

    Attributes:
        sets: of the page.
        job: the present or last fetching.
        plan: the models of the offered set; () while they are being fetched, and where another set is used already.
        asked, anew, problem: as of `ModelsSession`.
        others: galleries of one's own that other models made.
    """

    sets: ModelSets
    job: FetchingJob
    plan: tuple[PlannedPart, ...]
    asked: bool
    anew: str
    problem: Problem | None
    others: tuple[str, ...] = ()

    @property
    def can_fetch(self) -> bool:
        """Whether something of the offered set is to be fetched or made."""
        return any(not part.here for part in self.plan) and not self.anew

    @property
    def can_go_on(self) -> bool:
        """Whether the page may go on with the offered set now."""
        return bool(self.plan) and all(part.here for part in self.plan) and not self.anew

    @property
    def has_just_come(self) -> bool:
        """Whether the set was fetched by this server, so that who watches is taken along."""
        return self.job.state == READY and self.can_go_on and self.problem is None

    @property
    def can_go_back(self) -> bool:
        """Whether another set than the program's own is used."""
        return self.sets.used != self.sets.shipped and not self.anew

    @property
    def left_bytes(self) -> int:
        """Bytes that are still to be fetched, as far as they are known."""
        return sum(part.size or 0 for part in self.plan if not part.here and not part.made)


def screen_of(sets: ModelSets, session: ModelsSession, others: Sequence[str] = ()) -> ModelsScreen:
    """How things stand; `others`: galleries of one's own that other models made."""
    job = sets.fetching.job
    has_plan = not job.is_running and sets.used == sets.shipped
    plan, problem = (), session.problem
    try:
        plan = tuple(sets.fetching.plan()) if has_plan else ()
    except CirError as error:
        problem = describe_problem(error)
    return ModelsScreen(sets, job, plan, session.asked, session.anew, problem, tuple(others))


def fetch(sets: ModelSets, session: ModelsSession) -> None:
    """Begin, or go on with what was broken off."""
    session.asked = False
    sets.fetching.start()


def go_on(sets: ModelSets, indexer: Indexer, session: ModelsSession, name: str) -> None:
    """Let the page begin anew with a set. One that was put here by other means is tried first, as one that was fetched.

    Raises:
        GalleryError: a gallery is being indexed, which this would break off.
        MissingModel: the set is not here whole.
    """
    if indexer.job.is_running:
        raise GalleryError(
            f"{indexer.job.name} is being indexed, with the models of this page.",
            "Wait until it is ready, or stop it; then go on.",
        )
    if name == sets.offered and not screen_of(sets, session).can_go_on:
        raise MissingModel(f"The set {name} is not here whole.", "Fetch it first.")
    if name == sets.offered and sets.fetching.job.state != READY:
        sets.fetching.start()
        return
    sets.go_on(name)
    session.anew = name
