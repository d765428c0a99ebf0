"""assets/world/wordings.json -> wordings.safetensors: the book of wordings as the shipped sets' sentence encoder sees it.

Run it after a change of the book or of the names of things: python scripts/encode_wordings.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from safetensors.numpy import save_file

from cir.models.catalog import sentence_encoder_folder
from cir.models.sentence_encoder import load_sentence_encoder
from cir.phrasebook.book import ENCODED, book_key, encode_book


def main() -> None:
    """Write the file."""
    encoder = load_sentence_encoder(sentence_encoder_folder(), device="cpu")
    rows = {name: array.astype(np.float16) for name, array in encode_book(encoder).items()}
    save_file(rows, ENCODED, metadata={"key": book_key(encoder.fingerprint)})
    sys.stdout.write(f"{ENCODED}: {', '.join(f'{len(array)} {name}' for name, array in rows.items())}\n")


if __name__ == "__main__":
    main()
