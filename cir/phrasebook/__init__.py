"""Edits in anybody's words -> plain orders, by a book of wordings and a sentence encoder. No language model is asked.

What the illustrated world can be asked for is a closed list: a thing removed, added, replaced, of another number, colour
or size; another place, another time; and several of these. So an edit is read by its likeness to wordings of each, with
stand-ins for what it names: "ditch the dog" is most like "get rid of the apple", whose order is known. Slips of the
keyboard are put right first. What comes out is in the words that the text tower was taught. Not in any paper.

The wordings (`assets/world/wordings.json`) were written apart from those that anything here is measured on.
"""

from __future__ import annotations

from cir.phrasebook.orders import Seen
from cir.phrasebook.reading import Phrasebook

__all__ = ["Phrasebook", "Seen"]
