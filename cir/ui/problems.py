"""What went wrong, in words for a person: neither HTML nor gradio."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass

from cir.errors import CirError
from cir.surroundings import in_words_for_the_page

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence about what went wrong, and one about the way out."""

    message: str
    remedy: str


def describe_problem(error: Exception) -> Problem:
    """What a person is told. A CirError speaks for itself, as does the disk; a fault is logged under an id, which is told."""
    if isinstance(error, CirError):
        return Problem(error.message, error.remedy)
    if told := in_words_for_the_page(error):
        logger.warning("%s It said: %s", told.message, error)
        return Problem(told.message, told.remedy)
    fault_id = secrets.token_hex(4)
    logger.error("fault %s", fault_id, exc_info=error)
    return Problem(
        "Something went wrong in the program; your query is not to blame.",
        f"Try again. If it stays, the log has the details under {fault_id}.",
    )
