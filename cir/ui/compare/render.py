"""The Compare tab's answers -> small pieces of HTML. Every text that is not ours passes through `escape`."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from cir.charts import Cell, heat_map, rank_curve
from cir.composers.parameters import in_symbols, shares
from cir.ranking.judging import Judged
from cir.text import counted
from cir.ui.compare.handlers import Column
from cir.ui.grids import Tile, grid, tile
from cir.ui.pieces import escape, problem_card, share_words, stage_times, working
from cir.ui.search.handlers import caption_of, in_words

if TYPE_CHECKING:
    from cir.gallery.searchable import Searchable

FIRST_PAGE = 10


def query_line(text: str, has_picture: bool) -> str:
    """What is compared: the query of the Search tab."""
    if not text and not has_picture:
        return '<p class="compared-query">Choose a picture and type an edit on the Search tab; it is compared here.</p>'
    said = f"“{escape(text)}”" if text else "no edit"
    picture = "this picture" if has_picture else "no picture"
    return f'<p class="compared-query">Your query: {picture}, {said}</p>'


_LEGEND = (
    '<p class="hint legend"><b>1 ▲ 3</b>: at rank 1, three places higher than under the first method; <b>▼</b> lower; '
    "<b>=</b> the same. <b>★</b>: a picture that you marked.</p>"
)


def columns(shown: Sequence[Column], marked: Collection[str], gallery: Searchable) -> str:
    """The methods' results side by side."""
    made = "".join(
        f'<section class="compared" id="compared-{number + 1}">'
        f'<div class="compared-head">{column_head(found, shown[0].method)}</div>'
        f"{grid(_tiles(found, marked, gallery), do='mark')}</section>"
        for number, found in enumerate(shown)
    )
    return f'{_LEGEND}<div class="columns">{made}</div>'


def _tiles(found: Column, marked: Collection[str], gallery: Searchable) -> Iterator[Tile]:
    for place, one in enumerate(found.results):
        image_id, move = one.image_id, found.moves[place] if found.moves else None
        words = result_words(one.rank, move, gallery.note(image_id), image_id in marked)
        yield tile(gallery, image_id, words, caption=caption_of(gallery, image_id))


def column_head(found: Column, first: str) -> str:
    """Over a column: the method, how far it is, what it shares with the first, and what took how long."""
    name = f"<h3>{escape(found.method)}</h3>"
    if found.problem is not None:
        return name + problem_card(found.problem)
    if found.composed is None:
        return name + working("waiting", "state")
    lines = []
    if found.composed.pending:
        lines.append(working(f"{found.composed.pending.rstrip(' .…')} …", "state"))
    if found.method == first:
        lines.append('<p class="shared">The others are compared with this one.</p>')
    elif found.moves:
        count = len(found.results)
        lines.append(
            f'<p class="shared">{found.shared} of its first {count} are among the first {count} there.</p>'
        )
    times = {**found.composed.timings_ms, "ranking": found.ranking_ms}
    return name + "".join(lines) + f'<p class="timings">{stage_times(times)}</p>'


def result_words(rank: int, move: int | None, label: str, marked: bool) -> str:
    """Under a result: rank, how it moved against the first method, whether it is marked; then what it is."""
    arrow = ""
    if move:
        arrow = f"  ▲ {move}" if move > 0 else f"  ▼ {-move}"
    elif move == 0:
        arrow = "  ="
    first = f"{rank}{arrow}{'  ★ meant' if marked else ''}"
    return f"{first}\n{label}" if label else first


def judged_panel(judged: Judged | None, gallery: Searchable) -> str:
    """The ranks of the marked pictures, the map of weights, and what was fitted; how to mark one, where none is."""
    if judged is None:
        return (
            '<p class="hint">Click the picture that you meant, in any column; up to three. You then see where each '
            "method and each part of the query puts it, and which weights would put it first.</p>"
        )
    heads = "".join(f"<th scope='col'>{escape(in_words(gallery, i))}</th>" for i in judged.ids)
    words = share_words(judged.parameters)
    rows = [_row(escape(method), ranks) for method, ranks in judged.by_method.items()]
    for (part, side), ranks in judged.by_part.items():
        on = "" if side == "pixels" else ", on captions of gallery images"
        name = judged.called.get(part) or words[part].name
        rows.append(_row(f"<span class='alone'>{escape(name)} alone{on}</span>", ranks))
    pictures = counted(len(gallery), "picture")
    note = f'<p class="hint">{escape(judged.note)}</p>' if judged.note else ""
    table = (
        f'<div class="wide"><table class="ranks"><caption>Rank among {pictures}</caption>'
        f"<thead><tr><th scope='col'></th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
    return (
        f'<div class="judged"><div>{table}{note}{fit_words(judged)}</div>{_curve(judged)}{_map(judged)}</div>'
    )


def _row(head: str, ranks: tuple[int, ...]) -> str:
    cells = "".join(f'<td class="{"top" if r <= FIRST_PAGE else ""}">{r:,}</td>' for r in ranks)
    return f"<tr><th scope='row'>{head}</th>{cells}</tr>"


def fit_words(judged: Judged) -> str:
    """What the best weights would do, honestly."""
    found = judged.fitted
    if found is None and judged.weighed:
        return ""
    if found is None:
        return '<p class="fitted">None of these methods has weights, so there is nothing to fit.</p>'
    before, after = _listed(found.before), _listed(found.ranks)
    many = len(found.ranks) > 1
    they, them, stand = ("they", "them", "stand") if many else ("it", "it", "stands")
    if found.values == judged.present:
        said = f"Your weights are the best of {counted(judged.tried, 'setting')} that were tried: {they} {stand} at {after}."
    else:
        said = f"{in_symbols(judged.parameters, found.values)} bring {them} from {before} to {after}."
    if max(found.ranks) > FIRST_PAGE:
        said += (
            f" No weights bring {them} {'all ' if many else ''}among the first {FIRST_PAGE}: what the parts say of "
            f"{them} is not enough. Another wording of the edit may help more."
        )
    return f'<p class="fitted">{said}</p>'


def _listed(ranks: tuple[int, ...]) -> str:
    words = [f"{rank:,}" for rank in ranks]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _curve(judged: Judged) -> str:
    """The ranks over a method's only number; nothing for a method that has more."""
    if not judged.curve or judged.fitted is None:
        return ""
    number = judged.parameters[0]
    what = _what_rank(judged)
    best, now = judged.fitted.values[number.name], judged.present[number.name]
    drawn = rank_curve(
        judged.curve,
        best=best,
        now=now,
        x_label=f"{number.symbol}  {number.label}",
        y_label="rank",
        spoken=f"{what} over {number.name}. The best is {min(judged.curve.values())}, at {best:g}.",
    )
    return (
        f'<figure class="map"><figcaption>{what} under {escape(judged.weighed)} for every {escape(number.symbol)}. '
        f"Ring: the {escape(number.symbol)} found. Dashed: yours.</figcaption>{drawn}</figure>"
    )


def _what_rank(judged: Judged) -> str:
    return "Rank" if len(judged.ids) == 1 else "Worst rank of the marked pictures"


def _map(judged: Judged) -> str:
    """The ranks over a method's two shares; nothing for a method that has not two."""
    if not judged.surface or judged.fitted is None:
        return ""
    one, other = (p for p in judged.parameters if p.part)
    chosen, present = (tuple(v[p.name] for p in (one, other)) for v in (judged.fitted.values, judged.present))
    cells, best, worst = {}, min(judged.surface.values()), max(judged.surface.values())
    for place, rank in judged.surface.items():
        near = all(abs(a - b) < 0.05 for a, b in zip(place, present, strict=True))
        # From the best to the worst of this map, by ratios: 4 and 18 differ as much as 400 and 1,800.
        goodness = 1.0 - math.log(rank / best) / math.log(worst / best) if worst > best else 1.0
        left = max(0.0, 1 - sum(place))
        title = (
            f"{one.symbol} {place[0]:g}, {other.symbol} {place[1]:g}, reference look {left:.1f}: rank {rank}"
        )
        mark = "best" if place == chosen else "now" if near else ""
        cells[place] = Cell(_short(rank), goodness, title, mark)
    what = _what_rank(judged)
    rest = [p for p in judged.parameters if not p.part]
    at = f", at {in_symbols(rest, judged.fixed)}" if rest else ""
    spoken = f"{what} over {one.name} and {other.name}{at}. The best is {best}."
    return (
        f'<figure class="map"><figcaption>{what} under {escape(judged.weighed)} for every {one.symbol} and '
        f"{other.symbol}{at}. Ring: the weights found. Dashed: your {one.symbol} and {other.symbol}."
        f"{_missing_parts(judged)}</figcaption>{heat_map(cells, spoken=spoken)}</figure>"
    )


def _missing_parts(judged: Judged) -> str:
    words = share_words(judged.parameters)
    missing = [
        words[part]
        for part in shares(judged.parameters, judged.present)
        if (part, "pixels") not in judged.by_part
    ]
    return "".join(
        f" This query has no part “{escape(one.name.lower())}”, so its weight changes nothing."
        for one in missing
    )


def _short(rank: int) -> str:
    return str(rank) if rank < 1000 else f"{rank / 1000:.0f}k"
