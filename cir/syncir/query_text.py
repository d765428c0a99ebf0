"""Two pictures -> the modification text between them: the `Spoter`, and two that read captions.

Knows a language model by its protocol only. A spoter that looks at the pictures is in
`cir.models.multimodal_spoter`.
"""

from __future__ import annotations

from cir.cache_keys import digest_of
from cir.errors import CirError
from cir.models.protocols import LanguageModel, Spoter, SpotInput
from cir.prompts import hycir_query_text
from cir.questions import at_once
from cir.replies import parse_query_text

__all__ = ["TEMPLATES", "CaptionSpoter", "SpotInput", "Spoter", "TemplateSpoter"]

TEMPLATES = ("examples", "figure3")
MAX_TOKENS = 40
SENTENCES = ("{target} instead of {reference}", "Unlike {reference}, I want {target}")


class CaptionSpoter:
    """HyCIR's way: a language model is given both captions and writes the instruction.

    Source: HyCIR, "Query text generation", Figure 3.

    Args:
        language_model: any.
        template: "figure3" is the paper's prompt, word for word; "examples" the same words with six examples.
            The latter is the default: asked without examples, a model of 1.5 billion parameters explains,
            or describes the target, where an instruction was wanted.

    Raises:
        CirError: no such template.
    """

    def __init__(self, language_model: LanguageModel, template: str = "examples") -> None:
        if template not in TEMPLATES:
            raise CirError(
                f"There is no template called {template!r}.", f"Choose one of: {', '.join(TEMPLATES)}."
            )
        self.language_model, self.template = language_model, template
        self.at_once = at_once(language_model)
        asked = digest_of(str(hycir_query_text("A", "B", template)), MAX_TOKENS)
        self.fingerprint = f"captions, {template} {asked[:8]}: {language_model.fingerprint}"

    def spot(self, reference: SpotInput, target: SpotInput) -> str:
        """The instruction in the model's answer; "" when there is none. The pictures are not opened.

        Raises:
            LanguageModelFailed: no answer.
        """
        prompt = hycir_query_text(reference.caption, target.caption, self.template)
        answer = self.language_model.complete(prompt, max_tokens=MAX_TOKENS)
        return parse_query_text(answer, (reference.caption, target.caption)) or ""


class TemplateSpoter:
    """SPN's way: both captions in a fixed sentence, without any model. Which of its two sentences a pair gets, the captions decide.

    Source: Feng et al., "Improving Composed Image Retrieval via Contrastive Learning with Scaling Positives and Negatives",
    ACM Multimedia 2024: its sentences, as its released code (MIT) has them. There a multimodal model is asked for captions of
    about ten words, and one of both sentences is drawn anew at each step; here captions are the gallery's.
    """

    at_once = 1
    fingerprint = f"templates {digest_of(SENTENCES)[:8]}"

    def spot(self, reference: SpotInput, target: SpotInput) -> str:
        """The sentence; "" where a caption is missing. The pictures are not opened."""
        captions = {"reference": _within(reference.caption), "target": _within(target.caption)}
        if not all(captions.values()):
            return ""
        number = int(digest_of(reference.caption, target.caption)[:8], 16)
        return SENTENCES[number % len(SENTENCES)].format(**captions)


def _within(caption: str) -> str:
    """A caption as a part of a sentence, without the end of one."""
    return " ".join(caption.split()).rstrip(" .!?;,")
