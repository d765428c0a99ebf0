"""The page's look and its few lines of script: a theme of our own, system fonts, nothing from outside."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

_STATIC = Path(__file__).with_name("static")
STYLE_SHEET = _STATIC / "style.css"
SCRIPTS = [_STATIC / name for name in ("page.js", "acts.js", "focus.js", "viewer.js", "asking.js", "anew.js")]

_SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
# Calm greens of slate and pine; the neutral leans warm, so that pictures keep their colours beside it.
_PINE = gr.themes.Color(
    "#eef6f4", "#d6eae6", "#aed5cd", "#7fbab0", "#4f9a90", "#2f7d74",
    "#24655e", "#1f514c", "#1b423e", "#173633", "#0c211f",
)  # fmt: skip
_STONE = gr.themes.Color(
    "#faf9f7", "#f3f1ee", "#e7e4df", "#d5d1ca", "#a5a099", "#78736c",
    "#57534d", "#403d39", "#2a2826", "#1d1c1b", "#131211",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """Warm paper by day, warm charcoal by night; cards without borders on their insides."""
    return gr.themes.Base(
        primary_hue=_PINE,
        secondary_hue=_PINE,
        neutral_hue=_STONE,
        font=_SANS,
        font_mono=_MONO,
        radius_size="lg",
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_200",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_label_border_width="0px",
        block_label_background_fill="*background_fill_primary",
        block_label_background_fill_dark="*background_fill_primary",
        block_title_text_weight="600",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_300",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_width="1px",
        input_placeholder_color="*neutral_600",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="white",
        button_primary_text_color_dark="#06110f",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_900",
        button_secondary_background_fill_hover_dark="*neutral_800",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        slider_color="*primary_500",
        slider_color_dark="*primary_400",
    )


# Gradio puts ".contain" before every rule of the style sheet that holds for some windows alone, and its foot is outside of that.
# On phones it hides the first of the two links there, and not the dot between them.
_FOOT = "@media (max-width: 640px) { footer > .show-api ~ .divider { display: none; } }"


def head() -> str:
    """What goes into the page's head: the scripts, inline, so that nothing is fetched."""
    script = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    return (
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<style>{_FOOT}</style><script>{script}</script>"
    )
