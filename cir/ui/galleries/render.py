"""The tab "Galleries" -> small pieces of HTML. Names of files and galleries pass through `escape`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cir.durations import duration
from cir.gallery.background import FAILED, FINISHED, IDLE, STOPPED, STOPPING, IndexingJob
from cir.gallery.indexing import IndexingProgress
from cir.gallery.left_out import LeftOut
from cir.shelf import ShelfEntry
from cir.text import counted
from cir.ui.galleries.screen import Report, Screen
from cir.ui.galleries.status import STAGES, is_about, state_words
from cir.ui.pieces import escape, problem_card, progress_bar, table
from cir.ui.problems import describe_problem

PROBLEMS_SHOWN = 200


def gallery_list(screen: Screen) -> str:
    """All galleries as a table: how many pictures, how many captions, and how each stands."""
    rows = [_row(entry, screen.job) for entry in screen.entries]
    if screen.job.is_running and not any(is_about(screen.job, entry) for entry in screen.entries):
        rows.append(_row(ShelfEntry(screen.job.name, screen.job.name, problem="not there yet"), screen.job))
    return (
        f"{table(('Gallery', 'Pictures', 'Captions', 'State'), rows, css='galleries')}"
        f"{left_out_table(screen.left_out, screen.chosen.title if screen.chosen else '')}"
    )


def _row(entry: ShelfEntry, job: IndexingJob) -> tuple[str, str, str, str]:
    images, captions = ("–", "–") if entry.problem else (f"{entry.images:,}", _captions(entry))
    return entry.title, images, captions, state_words(entry, job)


def _captions(entry: ShelfEntry) -> str:
    """How many pictures have captions, and what that means for finding the others."""
    if not entry.captioned:
        return "none yet, so pictures are found by their look alone"
    if entry.captioned >= entry.images:
        return "all"
    return f"{entry.captioned:,} of {entry.images:,}; the others are found by their look alone"


def job_card(job: IndexingJob) -> str:
    """How the present or last indexing is getting on, with its problems."""
    if job.state == IDLE:
        return ""
    parts = [f'<section class="job" aria-label="Indexing"><h3>{escape(job.name)}: {_job_words(job)}</h3>']
    if job.progress is not None and job.is_running:
        parts.append(_bar(job))
    if job.problem is not None:
        parts.append(problem_card(describe_problem(job.problem)))
    if job.progress is not None:
        parts += [f"<p>{escape(note)}</p>" for note in job.progress.notes]
        parts.append(left_out_table(job.progress.left_out))
    return "".join([*parts, "</section>"])


def _job_words(job: IndexingJob) -> str:
    if job.state == FINISHED:
        images = job.progress.images if job.progress else 0
        return f"ready, {counted(images, 'picture')}"
    if job.state == STOPPED:
        return "stopped; what is indexed can be searched" if _has_indexed(job.progress) else "stopped"
    if job.state in (FAILED, STOPPING):
        return "not finished" if job.state == FAILED else "stopping …"
    return (
        STAGES.get(job.progress.stage, "working") + " …" if job.progress else "looking through the folder …"
    )


def _has_indexed(progress: IndexingProgress | None) -> bool:
    """Whether an indexing came as far as to a picture that can be searched."""
    return progress is not None and (progress.stage != "images" or progress.done > len(progress.skipped))


def _bar(job: IndexingJob) -> str:
    progress = job.progress
    assert progress is not None
    words = f"{progress.done:,} of {progress.total:,}"
    if progress.images_per_second:
        words += f" · {progress.images_per_second:.1f} a second"
    if progress.eta_seconds:
        words += f" · {duration(progress.eta_seconds)} left"
    if progress.stage == "captions":
        words += " · all pictures can be searched, those without captions by their look alone"
    label = STAGES.get(progress.stage, "Indexing")
    return progress_bar(label, progress.done, progress.total, words)


def left_out_table(rows: Sequence[LeftOut], gallery: str = "") -> str:
    """What is no part of a gallery, by reason, with how many and the first names; nothing when there is none.

    Args:
        rows: by reason; what could not be read stands first, and opens the table.
        gallery: whose, where that is not clear.
    """
    if not rows:
        return ""
    cells = [
        (row.reason, _how_many(row), ", ".join(row.names) + (" …" if row.is_cut else "")) for row in rows
    ]
    unread = sum(row.pictures for row in rows if row.is_problem)
    on_purpose = sum(row.pictures for row in rows if not row.is_problem)
    numbers = [f"{counted(unread, 'file')} could not be read"] if unread else []
    numbers += [f"{counted(on_purpose, 'file')} left out"] if on_purpose or not unread else []
    summary = f"{gallery}: {', '.join(numbers)}" if gallery else ", ".join(numbers)
    return _folded_table(summary, ("Reason", "How many", "Which"), cells, is_open=bool(unread))


def _how_many(row: LeftOut) -> str:
    return f"{row.pictures:,} in {counted(row.folders, 'folder')}" if row.folders else f"{row.pictures:,}"


def problems_table(problems: Sequence[tuple[str, str]], what: str) -> str:
    """Files that were left out, each with its reason; nothing when there are none."""
    if not problems:
        return ""
    summary, more = f"{counted(len(problems), 'file')} {what}", len(problems) - PROBLEMS_SHOWN
    last = f"<p>and {more:,} more</p>" if more > 0 else ""
    return _folded_table(summary, ("File", "Reason"), problems[:PROBLEMS_SHOWN], is_open=True, last=last)


def _folded_table(
    summary: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, is_open: bool, last: str = ""
) -> str:
    """A table of texts behind its summary."""
    return (
        f'<details class="problems"{" open" if is_open else ""}><summary>{escape(summary)}</summary>'
        f"{table(heads, rows, named=False)}{last}</details>"
    )


def report(came: Report, *, running: bool = False) -> str:
    """What came of an action, as far as it is true now."""
    if came.problem is not None:
        return problem_card(came.problem)
    words = came.words(running=running)
    done = f'<p class="said-so" role="status">{escape(words)}</p>' if words else ""
    return done + problems_table(came.refused, "refused")


def how_folders_are_allowed(labels: Sequence[str]) -> str:
    """Which folders can be indexed from here, and how to allow more."""
    more = (
        "To allow another, start with <code>python app.py --gallery-root FOLDER</code>, "
        "or set <code>CIR_GALLERY_ROOTS</code>."
    )
    if not labels:
        return f'<p class="hint">No folder of this computer may be indexed from the page yet. {more}</p>'
    return f'<p class="hint">Folders inside {escape(", ".join(labels))} can be indexed. {more} No file is changed.</p>'


def question(entry: ShelfEntry | None, name: str) -> str:
    """What a deletion would take away; nothing when none was asked for."""
    if not name:
        return ""
    lost = "its features, captions and thumbnails"
    uploaded = entry is not None and entry.uploaded
    rest = "and the uploaded pictures" if uploaded else "Your pictures themselves stay where they are."
    lost = f"{lost} {rest}." if uploaded else f"{lost}. {rest}"
    return f'<p class="question">Delete <b>{escape(name)}</b>? That deletes {lost}</p>'
