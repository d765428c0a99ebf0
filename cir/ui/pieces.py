"""Answers and problems -> small pieces of HTML. Every text that is not ours passes through `escape`.

This module knows neither gradio nor the retriever; the looks are in `style.css`.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cir.composers.method_card import SUPERVISED
from cir.composers.parameters import Parameter, Values, shares
from cir.composers.registry import METHODS
from cir.text import counted
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, REFERENCE_IMAGE, REMOVED_OBJECTS, ModelFact
from cir.ui.problems import Problem
from cir.ui.session import Answer

_CODE = re.compile(r"`([^`]+)`|(python -m cir(?: [\w./:-]*\w)+)")


@dataclass(frozen=True, slots=True)
class PartWords:
    """How a part of the query is called on the page, and what it is, in one sentence."""

    name: str
    symbol: str
    meaning: str


PART_WORDS = {
    MODIFIED_CAPTIONS: PartWords(
        "Described edit",
        "q_m",
        "Captions of the reference, rewritten with your edit by the language model.",
    ),
    FINE_GRAINED: PartWords(
        "Image word + edit",
        "q_f",
        "The reference turned into one made-up word, put into a sentence with your edit.",
    ),
    REFERENCE_IMAGE: PartWords(
        "Reference look",
        "q_v",
        "How the reference itself looks. It gets what the others leave.",
    ),
    REMOVED_OBJECTS: PartWords(
        "Objects removed",
        "q_r",
        "What your edit takes away, as the language model names it. It counts against a picture.",
    ),
}


def method_choices(names: Iterable[str]) -> list[tuple[str, str]]:
    """Methods to choose from, as (label, name); the supervised ones are told apart from the zero-shot ones."""
    supervised = {card.name for card in METHODS if card.family == SUPERVISED}
    return [(f"{name} ({SUPERVISED})" if name in supervised else name, name) for name in names]


def escape(text: object) -> str:
    """Text as it may stand in HTML, and in a template: braces and dollar signs become entities as well."""
    safe = html.escape(str(text), quote=True)
    return safe.replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;").replace("`", "&#96;")


def header(gallery_name: str, images: int) -> str:
    """The name, one sentence, and what is searched."""
    skips = "".join(
        f'<button type="button" data-skip="{to}">{words}</button>'
        for to, words in {"edit": "Skip to the edit", "pictures": "Skip to the pictures"}.items()
    )
    return (
        f'<nav class="skips" aria-label="Skip">{skips}</nav><header class="masthead"><div><h1>Recompose</h1>'
        "<p>Search your pictures with a picture and a sentence.</p></div>"
        f'<p class="searched">{escape(gallery_name)}<span>{counted(images, "picture")}</span></p></header>'
    )


def where_asked(sentence: str) -> str:
    """Where what is typed on this page goes; nothing where it stays on the server's own machine."""
    return f'<p class="where-asked" role="note">{escape(sentence)}</p>' if sentence else ""


def missing_banner(missing: Mapping[str, str]) -> str:
    """Which terms are missing and how to get them; nothing when all are there."""
    if not missing:
        return ""
    items = "".join(f"<li>{_with_code(sentence)}</li>" for sentence in missing.values())
    where = "switched off" if all("switched off" in sentence for sentence in missing.values()) else "not here"
    return (
        '<section class="banner" aria-label="Missing models">'
        f"<p>Some models are {where}. Search goes on without them.</p>"
        f"<ul>{items}</ul></section>"
    )


def _with_code(sentence: str) -> str:
    """A sentence for people, in which commands and what stands in `back quotes` are shown as code."""
    pieces = _CODE.split(sentence)  # every third piece is ordinary text
    shown = []
    for plain, quoted, command in zip(pieces[::3], [*pieces[1::3], ""], [*pieces[2::3], ""], strict=True):
        code = quoted or command
        shown.append(escape(plain) + (f"<code>{escape(code)}</code>" if code else ""))
    return "".join(shown)


def slider_label(parameter: Parameter) -> str:
    """ "Described edit α"."""
    return f"{parameter.label[:1].upper()}{parameter.label[1:]} {parameter.symbol}"


def share_bar(parameters: Sequence[Parameter], values: Values) -> str:
    """One bar of the shares of a method, named as it names them; nothing for a method without shares.

    The page's script keeps it in step with the sliders, by the names of the parameters that stand at the segments.
    """
    by_part = shares(parameters, values)
    if not by_part:
        return ""
    words, named = share_words(parameters), {p.part: p.name for p in parameters}
    segments = "".join(
        f'<div class="share {part}{" slim" if share < 0.12 else ""}" data-parameter="{named.get(part, "")}" '
        f'style="flex-grow:{share:.3f}" title="{escape(words[part].meaning)}"><span class="percent">{share:.0%}</span></div>'
        for part, share in by_part.items()
    )
    keys = "".join(
        f'<li class="{part}" title="{escape(words[part].meaning)}"><i></i>{escape(words[part].name)}</li>'
        for part in by_part
    )
    spoken = ", ".join(f"{words[part].name} {share:.0%}" for part, share in by_part.items())
    return (
        f'<div class="shares" role="img" aria-label="{escape(spoken)}">{segments}</div>'
        f'<ul class="share-keys" aria-hidden="true">{keys}</ul>'
    )


def share_words(parameters: Sequence[Parameter]) -> dict[str, PartWords]:
    """Row of the query -> its words: those of CVSI, or what the method calls it."""
    own = {p.part: PartWords(p.called, p.symbol, f"{p.called}, as text.") for p in parameters if p.called}
    return {**PART_WORDS, **own}


def meanings(parameters: Sequence[Parameter]) -> str:
    """What the numbers of a method are, for those who ask; nothing for a method without any."""
    words, shared = share_words(parameters), [p.part for p in parameters if p.part]
    shown = [(part, words[part]) for part in [*shared, *([REFERENCE_IMAGE] if shared else [])]]
    rest = [("", PartWords(p.label.capitalize(), p.symbol, p.meaning)) for p in parameters if not p.part]
    rows = "".join(
        f'<dt class="{part}">{"<i></i>" if part else ""}{escape(w.name)} <var>{escape(w.symbol)}</var></dt>'
        f"<dd>{escape(w.meaning)}</dd>"
        for part, w in [*shown, *rest]
    )
    return (
        f'<details class="meanings"><summary>What these are</summary><dl>{rows}</dl></details>'
        if rows
        else ""
    )


def table(
    heads: Sequence[str], rows: Iterable[Sequence[object]], *, named: bool = True, css: str = ""
) -> str:
    """Texts in rows and columns, in a box that can be scrolled where they are too wide for the page.

    Args:
        heads: of the columns.
        rows: texts, or numbers.
        named: whether the first text of a row is its name.
        css: class of the table.
    """
    titles = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    begin, end = ('<th scope="row">', "</th>") if named else ("<td>", "</td>")
    lines = "".join(
        f"<tr>{begin}{escape(first)}{end}{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f'<div class="wide"><table class="{css}"><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def working(stage: str, css: str = "stage") -> str:
    """A line while something is being worked on: the stage line, or one of the class `css`."""
    return f'<p class="{css} busy"><span class="dot" aria-hidden="true"></span>{escape(stage)}</p>'


def keys(known: Sequence[tuple[str, str]]) -> str:
    """The keys of a tab, for those who ask: those that do the same, with blanks between them, and what they do."""
    rows = "".join(
        f"<dt>{' '.join(f'<kbd>{k}</kbd>' for k in names.split())}</dt><dd>{what}</dd>"
        for names, what in known
    )
    return f'<details class="keys"><summary>Keys</summary><dl>{rows}</dl></details>'


def progress_bar(label: str, done: float, total: float, said: str) -> str:
    """How much of something is done, as a bar with a sentence below."""
    return (
        f'<progress max="{max(total, 1)}" value="{done}" aria-label="{escape(label)}"></progress>'
        f'<p class="numbers">{escape(said)}</p>'
    )


def waiting(before: int, *, first_results: bool) -> str:
    """The stage line of a search that waits for its turn."""
    return working(f"{'First results. For the rest, ' if first_results else ''}{before} before you …")


def stage_line(found: Answer, selected: int = 0) -> str:
    """How far the search is; when it is done, how long its parts took; and how many results are selected."""
    timings = found.composed.timings_ms
    if found.composed.pending:
        return working(f"First results. Still {found.composed.pending.rstrip(' .…')} …")
    count = len(found.results)
    said = (
        f"{count:,} of {counted(found.total, 'picture')}"
        if found.total > count
        else counted(count, "picture")
    )
    total = timings.get("total", sum(timings.values()))
    took = f" in {duration(total)}" if timings else ""
    chosen = f'<span class="chosen">{selected} selected</span>' if selected else ""
    return f'<p class="stage">{said}{took}{chosen}<span class="timings">{stage_times(timings)}</span></p>'


def stage_times(timings: Mapping[str, float]) -> str:
    """How long each stage took, in milliseconds by its name."""
    return "".join(
        f"<span>{escape(stage.removesuffix('_ms').replace('_', ' '))} {duration(ms)}</span>"
        for stage, ms in timings.items()
        if stage != "total"
    )


def duration(milliseconds: float) -> str:
    """Seconds from one second on, milliseconds below."""
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 950 else f"{max(milliseconds, 1):.0f} ms"


def notes_list(notes: Sequence[str]) -> str:
    """What the person should know about this search."""
    if not notes:
        return ""
    return f'<ul class="notes">{"".join(f"<li>{_with_code(note)}</li>" for note in notes)}</ul>'


def problem_card(problem: Problem) -> str:
    """What went wrong, and the way out."""
    said = f"<p>{escape(problem.message)}</p><p>{_with_code(problem.remedy)}</p>"
    return f'<div class="problem" role="alert">{said}</div>'


def chips(items: Iterable[str], shown: int) -> str:
    """Texts as chips, equal ones counted; those after the first `shown` wait in a fold."""
    counted = Counter(items)
    made = [
        f'<span class="chip">{escape(text)}{f" <small>×{n}</small>" if n > 1 else ""}</span>'
        for text, n in counted.items()
    ]
    return first_of(made, shown)


def first_of(made: Sequence[str], shown: int) -> str:
    """The first few of some pieces of HTML; the rest waits in a fold."""
    rest = made[shown:]
    fold = f"<details><summary>{len(rest)} more</summary>{''.join(rest)}</details>" if rest else ""
    return "".join(made[:shown]) + fold


def result_caption(rank: int, score: float, label: str, *, similar: int = 0, selected: bool = False) -> str:
    """Under a result and as its alternative text: rank and score on the first line, then what it is."""
    behind = f" · +{similar} similar" if similar else ""
    first = f"{'✓ ' if selected else ''}{rank} · {score:.3f}{behind}"
    return f"{first}\n{label}" if label else first


def about_models(facts: Sequence[ModelFact]) -> str:
    """The footer's fold: which models answer, from where, under which licence."""
    if not facts:
        return ""
    rows = [(fact.part, fact.name, fact.licence, fact.source) for fact in facts]
    shown = table(("Part", "Model", "Licence", "From"), rows)
    return f'<footer class="about"><details><summary>About the models</summary>{shown}</details></footer>'
