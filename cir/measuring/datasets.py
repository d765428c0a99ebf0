"""A benchmark, or a file of queries, as the options name it: opened, indexed, and with its books of captions and answers.

`evaluate` and `tables` share it, and so their captions and answers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shlex import quote

from cir.application import open_for
from cir.cache_keys import digest_of
from cir.composers.composer import Composer
from cir.composers.cvsi import PAPER_PRESETS, Cvsi
from cir.composers.parameters import Values, defaults
from cir.errors import DatasetError
from cir.evaluation.answers import AnswerBook
from cir.evaluation.datasets.dataset import Dataset, DatasetCard
from cir.evaluation.datasets.registry import DATASETS
from cir.evaluation.kept import CaptionBook, read_lines
from cir.evaluation.run import index_dataset
from cir.files import file_name
from cir.gallery.gallery import Gallery
from cir.gallery.manifest import list_galleries
from cir.gallery.sources import count_found
from cir.measuring.answering import PATIENCE_SECONDS
from cir.models.model_set import Models
from cir.models.protocols import LanguageModel
from cir.places import gallery_cache


def opened(
    options: argparse.Namespace, models: Models, *, needs_targets: bool = False
) -> Iterator[tuple[Dataset, Gallery]]:
    """Each dataset, or category of it, with the images that are searched; indexed when it is its turn.

    Raises:
        DatasetError: its files are not as published, or it `needs_targets` and they are hidden.
        GalleryError: see `index_folder` and `open_gallery`.
    """
    card = DATASETS[options.dataset]
    if card.searches_gallery:
        gallery = open_for(models, options.gallery)
        for dataset in card.open(options, gallery):
            yield dataset, gallery
        return
    for dataset in card.open(options, None):
        if needs_targets and not dataset.has_targets:
            raise DatasetError(
                f"Only the server of {dataset.name} knows the targets of its split {dataset.split}.",
                "Take a split whose targets are known: --split val. Or write what its server scores: "
                f"python -m cir evaluate {options.dataset} --root {quote(str(options.root))} --split "
                f"{dataset.split}",
            )
        yield dataset, _indexed(options, models, dataset)


def _indexed(options: argparse.Namespace, models: Models, dataset: Dataset) -> Gallery:
    place = gallery_cache() / "evaluations" / "galleries"  # not among people's own, which the page lists
    _tell_of_older(dataset)
    found = index_dataset(
        dataset,
        image_encoder=models.clip,
        text_encoder=models.text_encoder,
        captioner=models.captioner,
        captions_per_image=options.gallery_captions,
        cache_root=place,
        name=searched_name(dataset, place),
        batch_size=options.batch_size,
        say=say,
    )
    sys.stderr.write("\n")
    return found


def searched_name(dataset: Dataset, place: Path) -> str:
    """What the gallery of a split's images is called: by their names and paths, with a number for each folder of such.

    Two data sets with the same names in two folders have two galleries. Of a folder that was moved it is the one that
    it had, since its captions may have taken days.

    Args:
        dataset: a split.
        place: the folder of all such galleries.
    """
    names = f"{file_name(dataset.gallery_name.lower())}-{digest_of(dict(dataset.images))}"
    known = [one for one in list_galleries(place) if one.folder.name.startswith(f"{names}-")]
    fits = [one for one in known if one.root == dataset.folder.resolve()]
    fits += [
        one
        for one in known
        if one.root and not one.root.exists() and _has_these_pictures(one.folder, dataset.folder)
    ]
    free = (f"{names}-{n}" for n in count(1) if not (place / f"{names}-{n}").exists())
    return fits[0].folder.name if fits else next(free)


def _has_these_pictures(folder: Path, root: Path) -> bool:
    found, looked_for = count_found(folder, root)
    return 2 * found > looked_for


def _tell_of_older(dataset: Dataset) -> None:
    """Earlier versions kept these galleries among people's own: they may hold days of captions, so nothing is deleted."""
    for one in list_galleries(gallery_cache()):
        if one.name == dataset.gallery_name and one.root == dataset.folder.resolve():
            sys.stderr.write(
                f"The gallery {one.name}, which an earlier version made for this, is left as it was and not used. "
                f"To be rid of it: python -m cir galleries delete {quote(one.name)}\n"
            )


def book_folder(dataset: Dataset, root: Path | None = None) -> Path:
    """Where a dataset's books are, made: captions and answers do not depend on the method, so all methods share them.

    Args:
        dataset: a split.
        root: the folder of all of them; None for gallery_cache/evaluations.
    """
    folder = (root or gallery_cache() / "evaluations") / file_name(f"{dataset.name}-{dataset.split}".lower())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def answers_path(folder: Path, model: LanguageModel | None) -> Path:
    """Where the answers of a language model are written down; without a model, where none are."""
    return folder / file_name(f"answers-{model.fingerprint if model else 'none'}.jsonl".lower())


@dataclass(frozen=True, slots=True)
class Books:
    """A captioner of references and a language model whose captions and answers are written down."""

    captioner: CaptionBook | None
    answers: AnswerBook | None


def books_of(models: Models, folder: Path) -> Books:
    """The books of a set's models in `folder`; None for a model that is not here."""
    captioner, model = models.captioner, models.language_model
    captions = answers = None
    if captioner is not None:
        captions = CaptionBook(
            folder / file_name(f"captions-{captioner.fingerprint}.jsonl".lower()), captioner
        )
    if model is not None:
        model.deadline_seconds = PATIENCE_SECONDS
        path = answers_path(folder, model)
        read_lines(path)  # takes off a line that a stop has cut short
        answers = AnswerBook(path, model)
    return Books(captions, answers)


def starting_values(composer: Composer, card: DatasetCard) -> Values:
    """CVSI's are the paper's for this benchmark, where it has any; other methods have their own.

    Args:
        composer: the method; CVSI with another mapping network is CVSI, too.
        card: of the benchmark.
    """
    if isinstance(composer, Cvsi) and card.preset:
        return PAPER_PRESETS[card.preset]
    return defaults(composer.parameters)


def say(sentence: str) -> None:
    """Progress, on one line of standard error."""
    sys.stderr.write(f"\r{sentence:<79}")
    sys.stderr.flush()
