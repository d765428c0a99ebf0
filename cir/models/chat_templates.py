"""How a prompt is laid out for a model: the markup of the usual families, the only text that may be special.

Knows no tokenizer: it hands over text in parts, and says of each whether it is the template's own markup.
A model's Jinja template is only looked at to recognise its family; it is never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cir.cache_keys import digest_of

Part = tuple[str, bool]  # text, and whether it is markup of the template (parsed for special tokens)


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The markup around each role. Without a system role, the instruction goes before the first question."""

    recognised_by: str
    system: tuple[str, str] | None
    user: tuple[str, str]
    assistant: tuple[str, str]


CHAT_TEMPLATES = (
    ChatTemplate(
        "<|im_start|>",
        ("<|im_start|>system\n", "<|im_end|>\n"),
        ("<|im_start|>user\n", "<|im_end|>\n"),
        ("<|im_start|>assistant\n", "<|im_end|>\n"),
    ),
    ChatTemplate(
        "<start_of_turn>",
        None,
        ("<start_of_turn>user\n", "<end_of_turn>\n"),
        ("<start_of_turn>model\n", "<end_of_turn>\n"),
    ),
    ChatTemplate(
        "<|start_header_id|>",
        ("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
    ),
    ChatTemplate("[INST]", None, ("[INST] ", " [/INST]"), ("", "</s>")),
)
PLAIN_TEMPLATE = ChatTemplate(
    "", ("", "\n\n"), ("", " "), ("", "\n\n")
)  # a model that was never taught to chat


def render(template: ChatTemplate, prompt: Mapping[str, Any]) -> list[Part]:
    """Lay a prompt out as turns.

    Only markup that stands in the template is marked as such; everything that came from a prompt file, a
    caption or a person is plain text, so no typed text can become a special token.

    Args:
        template: the model's own.
        prompt: {"instruction", "examples": [[question, answer], ...], "question"}.
    """
    instruction = prompt["instruction"]
    parts: list[Part] = []
    if instruction and template.system:
        parts += [(template.system[0], True), (instruction, False), (template.system[1], True)]
        instruction = ""
    for question, answer in [*prompt["examples"], (prompt["question"], None)]:
        text = f"{instruction}\n\n{question}" if instruction else question
        instruction = ""
        parts += [
            (template.user[0], True),
            (text, False),
            (template.user[1], True),
            (template.assistant[0], True),
        ]
        if answer is not None:
            parts += [(answer, False), (template.assistant[1], True)]
    return parts


def recognise(jinja: str) -> ChatTemplate:
    """The family of a model's own template; `PLAIN_TEMPLATE` when it has none, or one that is not known."""
    return next((t for t in CHAT_TEMPLATES if t.recognised_by in jinja), PLAIN_TEMPLATE)


def layout_digest() -> str:
    """What stands for the layouts of all families in a key: another markup makes another prompt of the same texts."""
    probe = {"instruction": "1", "examples": [["2", "3"]], "question": "4"}
    return digest_of([[t.recognised_by, render(t, probe)] for t in (*CHAT_TEMPLATES, PLAIN_TEMPLATE)])
