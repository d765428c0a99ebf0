"""Slips of the keyboard: a word that is none becomes the word of the book that most likely was meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from math import ceil, log10

from cir.phrasebook.book import BEFORE, TOKEN, all_words, nouns, read_book
from cir.phrasebook.cuts import JOINING
from cir.phrasebook.signs import spelled_out
from cir.phrasebook.taught import taught
from cir.world.vocabulary import COUNT_WORDS

# What a slip counts. Any other letter that is put in, or stands for another one, counts most.
EXCHANGED, LEFT_OUT, DOUBLED, NEXT_KEY, FAR_KEY = 0.8, 0.9, 0.7, 0.85, 1.1
MOST, MOST_OF_SHORT, MOST_OF_LONG = (
    1.1,
    0.95,
    2.0,
)  # of words of five letters and more, shorter ones, and eight and more
FIRST_LETTER = 0.15  # another first letter is rarer
RARER = 0.15  # what a word costs that is said ten times more rarely between its neighbours than another one
OF_A_NAME = 3  # how often a name counts as said, beside the wordings that it stands in
OF_THE_TAUGHT = 5  # how often what the grammar writes counts
OFTEN = 50  # from here on a word of two letters may be meant
MUST_BE = 3.0  # how many times rarer, as a logarithm, a word is than the number that it may be a slip of
IN_A_NAME = 14  # what it is worth, as a logarithm, that two words together name a thing
SMOOTH = 2  # how much of a word's share counts as seen beside any other
_COMMON = (
    *("three", "the", "and", "with", "that", "this", "from", "there", "have", "for", "two", "one"),
    *("but", "is", "an", "in", "of", "as", "at", "it"),
)
# The words of two letters: all else of two, such as "re" in "paint it re", may be a slip.
_OF_TWO = frozenset(
    "am an as at be by do go he hi if in is it me my no of oh ok on or so to up us we".split()  # noqa: SIM905
)
_BEFORE_THINGS = ("add", "remove", "no", "with", "without", "of", "for")
SHORT, MOST_PIECES = 3, 3  # of words that were run together, all but one have so many letters
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def corrected(text: str, is_word: Callable[[str], bool]) -> list[str]:
    """The words of a text in small letters, slips put right where a word of the book is near.

    Args:
        text: as it was typed.
        is_word: whether something is an English word, and so no slip.
    """
    typed = TOKEN.findall(spelled_out(text))
    tokens = [piece for token in typed for piece in (token,) * is_word(token) or _pieces(token)]
    found = list(tokens)
    for _ in range(2):  # a slip's neighbours tell what was meant, put right as well
        for i, token in enumerate(tokens):
            before, after = found[i - 1] if i else "", found[i + 1] if i + 1 < len(found) else ""
            if number := _number(token, before, _thing_after(found, i)):
                found[i] = number
            elif token not in all_words():
                stem = token.removesuffix("'s")
                found[i] = _correct(stem, before, after, is_word) + token[len(stem) :]
    return found


def _correct(token: str, before: str, after: str, is_word: Callable[[str], bool]) -> str:
    if token in all_words() or token in JOINING or not token[0].isalpha() or len(token) < 2:
        return token
    for common in _COMMON:  # whose exchanged and doubled letters are often words, too
        if _slips(token, common) <= EXCHANGED:
            return common
    near = {} if is_word(token) and (len(token) != 2 or token in _OF_TWO) else _near(token)
    return min(near, key=lambda word: near[word] + RARER * _strange(word, before, after), default=token)


@lru_cache(4096)
def _pieces(token: str) -> tuple[str, ...]:
    """The words of the book that were run together: "thetree"; the token itself where it is one, a slip of one, or no such words."""
    if token in all_words() or min(_near(token).values(), default=MOST) < MOST:
        return (token,)
    said = _said().words
    found: dict[int, tuple[str, ...]] = {0: ()}  # where pieces may end -> the fewest
    for end in range(1, len(token) + 1):
        ways = [
            (*before, piece)
            for start, before in found.items()
            if len(before) < MOST_PIECES and _is_piece(piece := token[start:end], before)
        ]
        ways = [way for way in ways if sum(len(piece) < SHORT for piece in way) < 2]
        if ways:
            found[end] = min(ways, key=lambda way: (len(way), -sum(log10(said[word] + 1) for word in way)))
    return found.get(len(token), (token,))


def _is_piece(word: str, before: Sequence[str]) -> bool:
    """Whether a word can have been run together with those before it: a thing only with what stands before things; "catfish" is none."""
    if word in JOINING:
        return True
    if word not in all_words() or (len(word) == 1 and word != "a"):
        return False
    of_a_thing = {*BEFORE, *JOINING, *read_book().numbers, *_BEFORE_THINGS}
    return not before or word not in nouns() or before[-1] in of_a_thing or (before[-1], word) in _in_names()


def _thing_after(words: Sequence[str], at: int) -> str:
    """The word after one, past sizes and colours: what a number there would count."""
    book = read_book()
    rest = (word for word in words[at + 1 :] if word not in book.sizes and word not in book.colours)
    return next(rest, "")


def _number(token: str, before: str, after: str) -> str:
    """The number that a word beside a thing must be, though it is a word itself: "there are there dogs"; "" otherwise."""
    of_a_name = any((word, after) in _in_names() for word in _near(token))  # "pne tree"
    behind_one = before in nouns() or any(
        before == last for _, last in _in_names()
    )  # "turn the cars to bikes"
    if token in read_book().numbers or after not in nouns() or of_a_name or behind_one:
        return ""
    for count, number in COUNT_WORDS.items():
        if nouns()[after][1] == (count > 1) and _slips(token, number, MOST_OF_SHORT) <= MOST_OF_SHORT:
            stranger = _strange(token, before, after) - _strange(number, before, after)
            if stranger >= MUST_BE:
                return number
    return ""


@lru_cache(4096)
def _near(token: str) -> Mapping[str, float]:
    """The words of the book that are few slips away, and how many."""
    allowed = MOST_OF_SHORT if len(token) < 5 else MOST if len(token) < 8 else MOST_OF_LONG
    letters, found = frozenset(token), dict[str, float]()
    for word in _said().words:
        far = abs(len(word) - len(token)) > ceil(allowed)
        if far or len(letters.symmetric_difference(word)) > 2 * ceil(allowed):
            continue
        if (slips := _slips(token, word, allowed)) <= allowed:
            found[word] = slips + FIRST_LETTER * (word[0] != token[0])
    return found


def _strange(word: str, before: str, after: str) -> float:
    """How improbable a word is between two others: minus the logarithm of its share of what follows the one, and of what precedes the other."""
    said = _said()
    share = max(said.words[word], 1) / said.words.total()
    typed_before, typed_after = before, after
    before, after = ("" if beside in JOINING else beside for beside in (before, after))  # there an order ends
    before, after, one = _class_of(before), _class_of(after), _class_of(word).removesuffix("s~")
    follows = (said.after[before, one] + SMOOTH * share) / (said.classes[before] + SMOOTH)
    precedes = (said.before[one, after] + SMOOTH * share) / (said.classes[after] + SMOOTH)
    of_class = said.words[word] / said.of_class[one] if said.words[word] else 1
    in_a_name = IN_A_NAME * bool({(typed_before, word), (word, typed_after)} & _in_names())
    return -log10(follows) - log10(precedes) - log10(of_class) - in_a_name


@cache
def _in_names() -> frozenset[tuple[str, str]]:
    """Words that stand beside one another in the name of a thing: "maple leaves"."""
    return frozenset(pair for name in nouns() for pair in pairwise(name.split()))


@dataclass(frozen=True, slots=True)
class _Said:
    """How often the book and the grammar say what.

    Attributes:
        words: those that can be meant.
        classes: of words, as of `_class_of`.
        of_class: how often all words of a class, as one.
        after, before: (class, word) and (word, class), a thing whose number does not count.
    """

    words: Counter[str]
    classes: Counter[str]
    of_class: Counter[str]
    after: Counter[tuple[str, str]]
    before: Counter[tuple[str, str]]


@cache
def _said() -> _Said:
    texts = [*(wording.text for wording in read_book().wordings), *list(taught()) * OF_THE_TAUGHT]
    each = [text.split() for text in texts]
    said = Counter(token for tokens in each for token in tokens)
    words = Counter({w: said[w] + OF_A_NAME for w in all_words() if len(w) > 2 or said[w] > OFTEN})
    in_classes = [
        ["", *map(_class_of, tokens), ""] for tokens in each
    ]  # "" is where a wording begins and ends
    pairs = Counter(pair for found in in_classes for pair in pairwise(found))
    after, before = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for (a, b), count in pairs.items():
        after[a, b.removesuffix("s~")] += count
        before[a.removesuffix("s~"), b] += count
    of_class = Counter[str]()
    for word, count in words.items():
        of_class[_class_of(word).removesuffix("s~")] += count
    return _Said(words, Counter(one for found in in_classes for one in found[1:]), of_class, after, before)


@cache
def _class_of(word: str) -> str:
    """Things, numbers, colours and sizes are one word each, and "an" is "a"; several things end in "s~"."""
    book = read_book()
    if word == "an":
        return "a"
    if word in nouns():
        return "apples~" if nouns()[word][1] else "apple"
    if word in book.colours:
        return "red"
    return "two" if word in book.numbers else "big" if word in book.sizes else word


@cache
def _next_to(key: str) -> frozenset[str]:
    """The keys around one."""
    for r, row in enumerate(_KEYS):
        if (i := row.find(key)) >= 0:
            around = [(r, i - 1), (r, i + 1), (r - 1, i), (r - 1, i + 1), (r + 1, i - 1), (r + 1, i)]
            return frozenset(_KEYS[y][x] for y, x in around if 0 <= y < 3 and 0 <= x < len(_KEYS[y]))
    return frozenset()


def _slips(a: str, b: str, most: float = 2) -> float:
    """Letters left out, put in, changed, or two exchanged, from what was typed to a word (optimal string alignment).

    Two exchanged, or one of a double letter too many or too few, is the likeliest slip; a key beside the right one is likelier than another.

    Returns:
        More than `most` for many.
    """
    if abs(len(a) - len(b)) > ceil(most):
        return most + 1
    before: list[float] = []
    row = [0.0, *accumulate(_left_out(b, j) for j in range(1, len(b) + 1))]
    for i, x in enumerate(a, start=1):
        put_in = _put_in(a, i)
        now = [row[0] + put_in]
        for j, y in enumerate(b, start=1):
            changed = 0.0 if x == y else NEXT_KEY if x in _next_to(y) else FAR_KEY
            cost = min(row[j] + put_in, now[j - 1] + _left_out(b, j), row[j - 1] + changed)
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + EXCHANGED)
            now.append(cost)
        before, row = row, now
    return row[-1]


def _left_out(word: str, j: int) -> float:
    """What leaving out the j-th letter of a word counts."""
    return DOUBLED if j > 1 and word[j - 2] == word[j - 1] else LEFT_OUT


def _put_in(typed: str, i: int) -> float:
    """What the i-th letter counts as one too many."""
    x, beside = typed[i - 1], typed[max(i - 2, 0) : i - 1] + typed[i : i + 1]
    if x in beside:
        return DOUBLED
    return NEXT_KEY if any(x in _next_to(key) for key in beside) else 1.0
