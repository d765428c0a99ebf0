"""What an edit says is not so: orders that it forbids, and places, times, colours and sizes that it denies.

A sentence encoder finds "not at night" and "at night" alike. Things need none of this: "not a dog but a cat" names two, and the
book has its wordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from cir.phrasebook.book import DEFINITE, nouns, read_book, telling
from cir.phrasebook.cuts import JOINING
from cir.world.vocabulary import BACKGROUNDS, TIMES

_NOT = frozenset(
    "not never cannot hardly without no nothing less neither nor minus sans lose leave leaving".split()  # noqa: SIM905
)
_OF_THINGS = frozenset(["no", "without", "less", "minus", "sans"])
_RATHER_THAN = frozenset(
    tuple(pair.split())
    for pair in ("instead of", "rather than", "other than", "stops being", "stop being", "out of", "away from", "rid of")
)  # fmt: skip
_ANY, _BUT = (
    frozenset(["any", "anything", "every", "everything", "all", "anywhere", "whatever"]),
    frozenset(["but", "except", "besides"]),
)
# After a word for "not": no denial, but a question, or a wish.
_ASKS = frozenset(
    "you we they i he she it there that this but only just mind hurt wait help object forget".split()  # noqa: SIM905
)
_MISTAKEN = (
    ("sorry",),
    ("no", "wait"),
    ("scratch", "that"),
    ("or", "rather"),
    ("i", "mean"),
    ("correction",),
)
_IS_NOT = frozenset([("is", "not"), ("was", "not"), ("are", "not")])
SIZED = {"bigger": "big", "smaller": "small"}
_ASKING = frozenset(
    ["wouldn't", "couldn't", "shouldn't", "can't", "won't"]
)  # first: "wouldn't the desert be nicer?"
_REACH = 6  # words between one for "not" and what it denies
_STAYS = frozenset(["anymore", "longer", "more", "now"])  # after what is denied; belongs to it
# That change a picture. "Do not have", "do not want" a thing is an order, and no order is forbidden by it.
_CHANGES = frozenset(
    "add alter bring change colour color cut delete do drop erase include insert lose make mess modify move paint place put "  # noqa: SIM905
    "remove replace repaint set swap switch take throw touch turn".split()
)
_IS, _IT = (
    frozenset(["is", "are", "was", "were"]),
    frozenset(["it", "there", "this", "that", "they", "these"]),
)
_WH = frozenset(["what", "where", "who", "which", "whose", "when"])
_WANTS = frozenset(["possible", "way", "chance", "ok", "okay", "about", "if"])
_FORBIDS = frozenset(["don't", "never", "mustn't", "shouldn't", "not"])
_BETWEEN = frozenset("want wish need to ever please even dare you go and".split())  # noqa: SIM905
_ENDS = JOINING | frozenset(["but", "just", "only", "instead", "rather"])  # behind them another order begins


def without_forbidden(tokens: Sequence[str]) -> list[str]:
    """The words of an edit without the orders that it forbids: "don't touch the dog, add a cat" -> "add a cat".

    And without known things that it tells from others: "remove the sofa, not the bed". "A cat, not a dog" wants another thing.
    """
    tokens = _without_others(_spelled(tokens))
    found, at = list[str](), 0
    while at < len(tokens):
        if _forbids(tokens, at):
            at += 1
            while at < len(tokens) and tokens[at] not in _ENDS:
                at += 1
        else:
            found.append(tokens[at])
            at += 1
    return found


def _spelled(tokens: Sequence[str]) -> list[str]:
    """With the apostrophes that are left out on a phone, and "neither ... nor ..." of things as two orders."""
    said = [(token, " ".join(read_book().phrases.get((token,), ()))) for token in tokens]
    found = [whole if whole.endswith("n't") else token for token, whole in said]
    for at, token in enumerate(found):
        if token == "neither" and "nor" in found[at:] and _names_a_thing(found[at + 1 : at + 3]):
            nor = found.index("nor", at)
            return [*found[:at], "remove", *found[at + 1 : nor], "and", "remove", *found[nor + 1 :]]
    return found


def _without_others(tokens: Sequence[str]) -> list[str]:
    clauses = _clauses(tokens)
    found = list(clauses[0])
    for before, clause in pairwise(clauses):
        words = [token for token in clause if token not in JOINING and token != "but"]
        is_other = words[:1] == ["not"] and {*words[1:2]} < DEFINITE and " ".join(words[2:]) in nouns()
        found += [] if is_other and _names_a_known_thing(before) else clause
    return found


def _names_a_known_thing(tokens: Sequence[str]) -> bool:
    return any(a in DEFINITE and b in nouns() for a, b in pairwise(tokens))


def _forbids(tokens: Sequence[str], at: int) -> bool:
    if tokens[at] in ("never", "don't") and tokens[at + 1 : at + 2] in (["mind"], ["care"]):
        return True
    if at and tokens[at - 1] == "why":
        return False
    if tokens[at] == "without" or tuple(tokens[at : at + 2]) in _RATHER_THAN:
        verb = "".join(tokens[at + 1 + (tokens[at] != "without") :][:1])
        return verb.endswith("ing") and any(verb.startswith(change.removesuffix("e")) for change in _CHANGES)
    if tokens[at] not in _FORBIDS and tuple(tokens[at : at + 2]) != ("no", "need"):
        return False
    at += 1
    while at < len(tokens) and tokens[at] in _BETWEEN:
        at += 1
    return at < len(tokens) and tokens[at] in _CHANGES


def denied(tokens: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """The words of an edit without the places, times, colours and sizes that it denies, and these by their plain names.

    "not in the snow but on a beach" -> "but on a beach", {"snow"}. Of a clause that then wants nothing its thing alone stays, where the
    next one names none: "the hat should not be red but blue".
    """
    tokens, taken_back = _without_taken_back(tokens)
    clauses, values = [_without_denied(clause) for clause in _clauses(tokens)], set(taken_back)
    found = list[str]()
    for i, (clause, said) in enumerate(clauses):
        values |= said
        after = clauses[i + 1][0] if i + 1 < len(clauses) else None
        goes_on = after is not None and any(map(_named, after)) and not _names_a_thing(after)
        if not said or any(map(_named, clause)) or goes_on:
            found += clause
    # "evening light rather than the light from before" wants an evening; "the sun" alone would say nothing.
    return found, frozenset(values).difference(*(named for named in map(_named, found) if len(named) == 1))


def _without_taken_back(tokens: Sequence[str]) -> tuple[Sequence[str], frozenset[str]]:
    """ "make it green, sorry, i mean yellow" -> "make it , , yellow", {"green"}."""
    for mark in _MISTAKEN:
        for at in range(1, len(tokens)):
            if tuple(tokens[at : at + len(mark)]) != mark or not any(map(_named, tokens[at:])):
                continue
            named = [i for i in range(at) if _named(tokens[i])]
            if named:
                last = named[-1]
                return [*tokens[:last], *tokens[last + 1 : at], *tokens[at + len(mark) :]], _named(
                    tokens[last]
                )
    return tokens, frozenset()


def _clauses(tokens: Sequence[str]) -> list[list[str]]:
    """The words, cut before those that join; "any colour but red" is one."""
    found = list[list[str]]([[]])
    for at, token in enumerate(tokens):
        if (token in JOINING or token == "but") and not _is_any_but(tokens, at):
            found.append([])
        found[-1].append(token)
    return found


def _is_any_but(tokens: Sequence[str], at: int) -> bool:
    before = tokens[max(at - 3, 0) : at]
    return (
        tokens[at] in _BUT and not _ANY.isdisjoint(before) and _STAYS.isdisjoint(before)
    )  # "any longer, but"


def _without_denied(tokens: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    found, values, at = list[str](), set[str](), 0
    while at < len(tokens):
        end, said = _denied_at(tokens, at)
        values |= said
        again = values & _named(tokens[at])  # "not on the beach by the sea"
        found += tokens[at : at + 1] if not said and not again else []
        at = end if said else at + 1
    return found, frozenset(values)


def _denied_at(tokens: Sequence[str], at: int) -> tuple[int, frozenset[str]]:
    """(where a denial ends that begins here, what it denies); nothing where none does."""
    if _named(tokens[at]) and _is_not_it(tokens[at + 1 : at + 3]):
        return at + 2, _named(tokens[at])
    start, of_things = _after_not(tokens, at), tokens[at] in _OF_THINGS
    for i in range(start, min(start + _REACH, len(tokens)) if start else 0):
        if tokens[i] in JOINING or tokens[i] in nouns() or "enough" in tokens[i : i + 2]:
            break
        if not _named(tokens[i]) or (of_things and _is_of_a_thing(tokens, i)):
            continue
        values, end = set[str](), i
        while end < len(tokens) and (_named(tokens[end]) or (tokens[end] in ("or", "nor") and end > i)):
            values |= _named(tokens[end])
            end += 1
        if tokens[end : end + 1] == ["any"]:
            end += 1
        while end < len(tokens) and tokens[end] in _STAYS:
            end += 1
        return end, frozenset(values)
    return at, frozenset()


def _after_not(tokens: Sequence[str], at: int) -> int:
    """Where that begins which a word for "not" denies; 0 where there is none."""
    word, pair, after = tokens[at], tuple(tokens[at : at + 2]), tokens[at + 1 : at + 2]
    if pair in _RATHER_THAN or _is_any_but(tokens, at):
        return at + 1 + (pair in _RATHER_THAN)
    negates = word in _NOT or word.endswith("n't")
    asks = (bool(after) and after[0] in _ASKS) or (at == 0 and word in _ASKING)
    return 0 if not negates or asks or tokens[max(at - 1, 0)] == "why" else at + 1


def _is_of_a_thing(tokens: Sequence[str], at: int) -> bool:
    """Whether a thing follows the word: "no big dog" denies a dog."""
    after = next((token for token in tokens[at + 1 :] if not _named(token)), "")
    return after in nouns()


def _is_not_it(after: Sequence[str]) -> bool:
    """Whether words say of what is before them that it is not so: "the garden isn't the right place"."""
    return bool(after) and (after[0].endswith("n't") or tuple(after) in _IS_NOT)


@cache
def _named(word: str) -> frozenset[str]:
    """The places, times, colours and sizes that a word is said of, by their plain names."""
    book = read_book()
    one = word if word in BACKGROUNDS or word in TIMES else book.colours.get(word) or book.sizes.get(word)
    return frozenset([one]) if one else telling().get(word, frozenset())


def orders_one_of(orders: str, values: frozenset[str]) -> bool:
    """Whether plain orders want one of these places, times, colours and sizes."""
    named = {**BACKGROUNDS, **TIMES}
    said = {*orders.split(), *(SIZED[word] for word in orders.split() if word in SIZED)}
    return any(
        f" {named[value][0]} " in f" {orders} " if value in named else value in said for value in values
    )


def says_something(tokens: Sequence[str]) -> bool:
    """Whether words name a thing, a place, a time, a colour, a number or a size."""
    book = read_book()
    return any(
        word in nouns() or word in book.numbers or word in book.sizes or _named(word) for word in tokens
    )


def _names_a_thing(tokens: Sequence[str]) -> bool:
    return any(word in nouns() for word in tokens)


def is_question(text: str) -> bool:
    """Whether a text only asks what is there: "is it day?". "Can you make it day?" and "is the dog gone?" want something."""
    words = text.lower().split()
    of_it = "".join(words[:1]) in _IS and "".join(words[1:2]) in _IT
    asks = of_it or "".join(words[:1]) in _WH or tuple(words[:2]) in (("how", "many"), ("why", "did"))
    return text.rstrip().endswith("?") and asks and _WANTS.isdisjoint(words[:4])
