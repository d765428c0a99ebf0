"""What nouns mean: WordNet's names and meanings of the 21,841 things of ImageNet, which come with timm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from cir.models.photographs.lexicon import WORD

ARTICLES = frozenset({"a", "an", "the", "some"})
ENDINGS = (("ies", "y"), ("ves", "f"), ("es", ""), ("s", ""))  # of the plural and of the singular


def meanings_of(text: str) -> Sequence[str]:
    """ "Name, meaning" for each thing that a text names, if the text is one noun and nothing else; otherwise none."""
    noun = " ".join(word for word in WORD.findall(text.lower()) if word not in ARTICLES)
    known = read_meanings()
    return next((known[form] for form in _forms(noun) if form in known), ())


def _forms(noun: str) -> Iterator[str]:
    """The noun, and what it may be the plural of."""
    yield noun
    for plural, singular in ENDINGS:
        if noun.endswith(plural):
            yield noun.removesuffix(plural) + singular


@cache
def read_meanings() -> Mapping[str, Sequence[str]]:
    """Name of a thing -> "first name, meaning" for each thing that is called so. Read once, in a fraction of a second."""
    from timm.data.imagenet_info import ImageNetInfo

    found: dict[str, list[str]] = {}
    for described in ImageNetInfo("imagenet22k").label_descriptions(detailed=True, as_dict=False):
        listed, _, meaning = described.partition(": ")
        names = listed.split(", ")
        for name in names:
            found.setdefault(name.lower(), []).append(f"{names[0]}, {meaning}")
    return found
