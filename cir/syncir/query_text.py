"""Two pictures -> the modification text between them: the `Spoter`, and the one that reads captions.

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

__all__ = ["TEMPLATES", "CaptionSpoter", "SpotInput", "Spoter"]

TEMPLATES = ("examples", "figure3")
MAX_TOKENS = 40


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
