"""How a gallery stands and what its indexing is doing, in words for the table, the switcher and the Search tab. No HTML."""

from __future__ import annotations

import os

from cir.gallery.background import IDLE, STOPPED, STOPPING, IndexingJob
from cir.gallery.sources import same_folder
from cir.shelf import ShelfEntry

STAGES = {"images": "Looking at pictures", "captions": "Writing captions"}


def state_words(entry: ShelfEntry, job: IndexingJob) -> str:
    """How a gallery stands, as one line: what is being done with it comes first, what ranks its pictures last."""
    return f"{_state(entry, job)}. {entry.engine}" if entry.engine else _state(entry, job)


def _state(entry: ShelfEntry, job: IndexingJob) -> str:
    searchable = "" if entry.problem else "can be searched; "
    if is_about(job, entry):
        if job.is_running:
            return searchable + job_words(job)
        if job.state == STOPPED:
            return f"{searchable or 'not finished; '}it was stopped, and “Go on” brings the rest"
        if job.problem is not None:
            return f"{searchable}not finished: {job.problem.message}"
    elif entry.busy:
        return f"{searchable}another program is indexing it"
    if entry.problem:
        way = "Index again with these models" if entry.other_models else "Bring up to date"
        remedy = f"Choose it, and “{way}”." if entry.own else entry.remedy
        return f"{entry.problem} {remedy}"
    if entry.own and entry.root is not None and not os.path.isdir(entry.root):
        return "can be searched; its folder is not there now"
    return "ready; uploaded" if entry.uploaded else "ready"


def job_words(job: IndexingJob) -> str:
    """What a running indexing is doing, as a part of a sentence."""
    if job.state == STOPPING:
        return "stopping …"
    if job.progress is None:
        return "looking through its folder …"
    done = f"{job.progress.done:,} of {job.progress.total:,}"
    return f"{STAGES.get(job.progress.stage, 'indexing').lower()}, {done} …"


def is_about(job: IndexingJob, entry: ShelfEntry) -> bool:
    """Whether the present or last indexing is of this gallery.

    The gallery that the page began with has no name of its own here: it is known by its folder.
    """
    if entry.own:
        return job.state != IDLE and entry.name == job.name
    return job.root is not None and entry.root is not None and same_folder(job.root, entry.root)
