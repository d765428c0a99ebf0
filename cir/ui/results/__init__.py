"""The Results tab: what was measured here, and what the papers printed, clearly told apart.

`layout` puts on the page what `render` makes; nothing is computed here, and nothing is measured.
"""
