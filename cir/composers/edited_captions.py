"""A caption after the edit, by the language model: p_m, asked the same way by every method that asks it.

So CVSI, CIReVL and LDRE share their answers wherever answers are kept. Source: CIReVL, section 3.2; CVSI, section
III-C, Eq. 7, which takes CIReVL's template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cir import prompts, replies
from cir.models.protocols import LanguageModel
from cir.text import LITTLE_WORDS

MODIFIED_TOKENS = 48


def edited_caption(
    model: LanguageModel, captions: Sequence[str], text: str, note: Callable[[str], None]
) -> str:
    """The caption after the edit. Where no answer can be used, "caption, edit" stands in, and a note says so.

    CIReVL's code takes the edit alone there; we keep the caption, because the edit rarely names the rest.

    Args:
        model: is asked once; once more, with another path through it, when the answer is unusable.
        captions: one; or several, for the joint question of CVSI's released code.
        text: the edit.
        note: told what a person should know.

    Raises:
        LanguageModelFailed: no answer in time.
    """
    if len(captions) == 1:
        prompt = prompts.cvsi_modified_caption(captions[0], text)
    else:
        prompt = prompts.cvsi_joint_modified_caption(captions, text)
    parsed = replies.parse_modified_caption(model.complete(prompt, max_tokens=MODIFIED_TOKENS))
    if parsed is None:
        again = model.complete(prompt, max_tokens=MODIFIED_TOKENS, temperature=0.7, seed=1)
        parsed = replies.parse_modified_caption(again)
    if parsed is None:
        note('An answer of the language model was unusable; "caption, edit" stands in for it.')
        return f"{captions[0]}, {text}"
    if parsed.strip(" .").lower() in {caption.strip(" .").lower() for caption in captions}:
        # Small models copy a caption now and then, mostly when something is to be removed: the edit would be lost.
        note("The language model left a caption unchanged, so the edit was put behind it.")
        return f"{parsed}, {text}"
    if not _shares_word(parsed, f"{captions[0]} {text}"):
        note("The language model's description shares no word with the picture or the edit: look at it.")
    return parsed


def _shares_word(answer: str, known: str) -> bool:
    def stems(text: str) -> set[str]:
        return {word.strip(".,;:!?").rstrip("s").lower() for word in text.split()} - LITTLE_WORDS

    return bool(stems(answer) & stems(known))
