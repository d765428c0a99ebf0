"""The benchmarks that there are: their commands are called as here."""

from __future__ import annotations

from cir.evaluation.datasets import circo, cirr, fashioniq, queries_file
from cir.evaluation.datasets.dataset import DatasetCard

DATASETS: dict[str, DatasetCard] = {
    card.name: card for card in (cirr.CARD, circo.CARD, fashioniq.CARD, queries_file.CARD)
}
