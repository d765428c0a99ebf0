"""The Results tab: what was measured here, and what the papers printed, clearly told apart.

`layout` puts on the page what `pieces` takes apart; nothing is computed here, and nothing is measured.
"""

from cir.ui.results.layout import lay_out

__all__ = ["lay_out"]
