"""The steps of a session: every query and every change of one, to go back to without asking a model again.

A step keeps what was composed, so that going back is arithmetic. Each knows the step that it came from: the way
to the present one is the breadcrumb, and undo goes one step back along it. No gradio, no HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cir.composers.parameters import in_symbols
from cir.errors import BadQuery
from cir.ui.session import Session, Step

MAX_STEPS = 20
KEPT = (
    "composed", "machine", "method", "parameters", "settings", "notes", "picked_id", "reference_id", "intended_id", "signed",
    "image_path", "text", "gallery", "only",
)  # fmt: skip


def remember(session: Session, title: str, picture: str | None = None) -> None:
    """Make what the session now holds its newest step; the oldest beyond MAX_STEPS is forgotten.

    Args:
        session: takes the step.
        title: what was asked or changed.
        picture: the reference; None keeps that of the step before.
    """
    before = present(session)
    shown = (before.picture if before else "") if picture is None else picture
    number = 1 + max((step.number for step in session.steps), default=0)
    session.steps.append(Step(number, session.step, title, shown, _kept(session)))
    del session.steps[:-MAX_STEPS]
    session.step = number


def update(session: Session) -> None:
    """The present step takes over what the session now holds: a later stage of its search, or other weights."""
    step = present(session)
    if step is not None:
        step.kept = _kept(session)


def present(session: Session) -> Step | None:
    """The step on the screen; None before the first."""
    return next((step for step in session.steps if step.number == session.step), None)


def path(session: Session) -> list[Step]:
    """The steps that led to the present one, itself last, as far as they are remembered."""
    numbered = {step.number: step for step in session.steps}
    found: list[Step] = []
    number = session.step
    while number in numbered:
        found.append(numbered[number])
        number = numbered[number].parent
    return found[::-1]


def history(session: Session) -> list[Step]:
    """All remembered steps in the gallery that is searched now, the newest first."""
    return [step for step in reversed(session.steps) if step.kept["gallery"] == session.gallery]


def details(shown: Sequence[Step]) -> dict[int, str]:
    """What tells steps apart beside their titles: the method, where there are several; weights, where they differ.

    Args:
        shown: steps that stand beside each other.

    Returns:
        number -> words; nothing for a step that needs none.
    """
    methods = {step.kept["method"] for step in shown}
    words_of = {}
    for step in shown:
        method, numbers = step.kept["method"], _numbers(step)
        differ = any(_numbers(other) != numbers for other in shown if other.kept["method"] == method)
        words = [method] if len(methods) > 1 else []
        words_of[step.number] = ", ".join([*words, *([numbers] if differ and numbers else [])])
    return words_of


def _numbers(step: Step) -> str:
    """ "α 0.4, β 0.6, γ 0.2"; "" for a method without numbers."""
    return in_symbols(step.kept["parameters"], step.kept["settings"].values)


def go_to(session: Session, number: object) -> Step:
    """Make a step the present one. A search that still runs ends.

    Raises:
        BadQuery: it is not remembered, or belongs to another gallery.
    """
    step = next((step for step in history(session) if step.number == number), None)
    if step is None or isinstance(number, bool):
        raise BadQuery("That step is not remembered any more.", "Search again.")
    session.searches += 1
    before = _question(session)
    for name, value in step.kept.items():
        setattr(session, name, value)
    session.step, session.inspected_id = step.number, ""
    if _question(session) != before:  # what was selected was among the answers to another question
        session.selected, session.unfolded = (), frozenset()
    return step


def _question(session: Session) -> tuple[Any, ...]:
    return session.gallery, session.image_path, session.text


def undo(session: Session) -> Step:
    """Go back to the step before.

    Raises:
        BadQuery: this is the first, or the one before is forgotten.
    """
    step = present(session)
    if step is None or step.parent not in {other.number for other in history(session)}:
        raise BadQuery("There is nothing to undo.", "Search, or change something, first.")
    return go_to(session, step.parent)


def _kept(session: Session) -> dict[str, Any]:
    return {name: getattr(session, name) for name in KEPT}
