"""What the tab "Galleries" says of other sets of models, as pieces of HTML."""

from __future__ import annotations

from cir.durations import duration
from cir.models.fetching import FAILED, FETCHING, MAKING, READY, STOPPED, STOPPING, FetchingJob, PlannedPart
from cir.ui.galleries.model_sets import ModelsScreen
from cir.ui.pieces import escape, problem_card, progress_bar, table
from cir.ui.problems import describe_problem

_STAGES = {MAKING: "Making the mapping network", "trying": "Trying the models"}


def card(screen: ModelsScreen) -> str:
    """How it stands with the set that is offered, or used."""
    name, problem = escape(screen.sets.offered), screen.problem
    said = problem_card(problem) if problem else ""
    if screen.anew:
        said = f"<p>The page begins anew with the models of the set {escape(screen.anew)}. It comes back by itself, in a moment.</p>"
        return _section(f'<div data-anew role="status">{said}</div>')
    if screen.job.is_running:
        return _section(_progress(screen.job, screen.sets.offered) + said)
    if screen.can_go_back:
        return _section(f"<p>This page uses the set {escape(screen.sets.used)}.{_others(screen)}</p>{said}")
    if screen.can_go_on:
        mark = " data-go-on" if screen.has_just_come else ""
        words = "is here, opens, and is ready" if screen.job.state == READY else "is here"
        return _section(
            f"{_broken_off(screen)}<p{mark}>The set {name}, which reads photographs better, {words}.</p>{said}"
        )
    return _section(_broken_off(screen) + said + (consent(screen) if screen.asked else _offer(screen)))


def _section(inner: str) -> str:
    return f'<section class="job" aria-label="Models for photographs"><h3>Models for photographs</h3>{inner}</section>'


def _offer(screen: ModelsScreen) -> str:
    if screen.job.state in (STOPPED, FAILED):
        return ""
    return (
        f"<p>The set {escape(screen.sets.offered)} reads photographs better than the models of this page. It is fetched once, "
        "when you ask for it, and galleries that are there stay.</p>"
    )


def _others(screen: ModelsScreen) -> str:
    """Which galleries wait to be indexed again, and how."""
    if not screen.others:
        return ""
    named = ", ".join(screen.others[:3]) + (" …" if len(screen.others) > 3 else "")
    return (
        f" Made by other models, and kept as they are: {escape(named)}. Choose one above, and “Index again with these models”, "
        "which makes another gallery beside it."
    )


def _broken_off(screen: ModelsScreen) -> str:
    """Why the last fetching ended before it was over."""
    if screen.job.state == STOPPED:
        return "<p>Stopped. What came is kept, and it goes on from there.</p>"
    if screen.job.state != FAILED or screen.job.problem is None:
        return ""
    name = escape(screen.sets.offered)
    other = (
        f'<p class="hint">Without a network: fetch it on another computer (<code>CIR_HOME=FOLDER python -m cir models pull {name}'
        f"</code>), and copy what is in FOLDER into <code>{escape(screen.sets.fetching.folder)}</code>. Or index and start with it where "
        "it is: <code>python -m cir index PHOTOS --models FOLDER</code>, <code>python app.py --models FOLDER</code>.</p>"
    )
    offline = other if screen.job.stage in ("", FETCHING) else ""
    return problem_card(describe_problem(screen.job.problem)) + offline


def consent(screen: ModelsScreen) -> str:
    """What fetching means, before anything is fetched: which files, from where, licences, room, memory, time."""
    fetching = screen.sets.fetching
    memory, free = fetching.memory_bytes, fetching.free_memory
    short = " That is too little: end other programs first, or it becomes slow." if free < memory else ""
    made = [part.name for part in screen.plan if part.made and not part.here]
    making = (
        f"<li>Then a mapping network ({escape(made[0])}) is made on this computer, in about a quarter of an hour. The page can be "
        "searched meanwhile, and it goes on where it was stopped.</li>"
        if made
        else ""
    )
    return (
        f"<p>Fetch {gigabytes(screen.left_bytes)}? This is asked of the places that are named here, and of no others:</p>"
        f"{table(('Model', 'Size', 'Licence', 'From'), map(_row, screen.plan))}<ul>"
        f"<li>They are written to <code>{escape(fetching.folder)}</code>, where {gigabytes(fetching.free_disk)} are free.</li>"
        f"<li>In use they take about {gigabytes(memory)} of memory, the language model not counted; while they are tried, beside "
        f"this page. {gigabytes(free)} are free now.{short}</li>{making}"
        "<li>In the end they are tried on a dozen photographs that come with the program, and the page goes on with them. Your "
        "galleries are kept: each can be indexed again beside itself, and you can go back.</li></ul>"
    )


def _row(part: PlannedPart) -> tuple[str, str, str, str]:
    size = "made here" if part.made else gigabytes(part.size) if part.size else "unknown"
    return part.name, "here already" if part.here else size, part.licence, part.source


def _progress(job: FetchingJob, name: str) -> str:
    if job.state == STOPPING:
        return "<p>Stopping …</p>"
    if job.stage in _STAGES:
        return f'<p role="status">{_STAGES[job.stage]}: {escape(job.said)} …</p><progress aria-label="{_STAGES[job.stage]}"></progress>'
    if not job.part:
        return f"<p>Asking for the files of the set {escape(name)} …</p>"
    done, total = job.whole
    left = f" · {duration(job.seconds_left)} left" if job.seconds_left is not None else ""
    part = _bar(f"Fetching {job.part}", job.done.get(job.part, 0), job.sizes.get(job.part, 0))
    return part + _bar("In all", done, total, left)


def _bar(words: str, done: int, total: int, more: str = "") -> str:
    numbers = f"{words}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB{more}"
    return progress_bar(words, done, total, numbers)


def get_words(screen: ModelsScreen) -> str:
    """What the button says that offers the set."""
    left = [part for part in screen.plan if not part.here and not part.made]
    licences = ", ".join(dict.fromkeys(part.licence for part in left))
    begun = any(part.here and not part.made for part in screen.plan[:2])
    size = (
        f"{gigabytes(screen.left_bytes)}{' more' if begun else ''}, {licences}"
        if left
        else "nothing to fetch, only to make"
    )
    return f"Get the photograph models ({screen.sets.offered}: {size})"


def gigabytes(count: int) -> str:
    """Bytes as people say them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:,.0f} MB"
