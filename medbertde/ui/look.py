"""How the page looks: the theme and the style sheets, as Gradio takes them when the page is served."""

from __future__ import annotations

from typing import Any

import gradio as gr

from medbertde.ui.card import styles


def look() -> dict[str, Any]:
    """Theme and styles."""
    return {"theme": theme(), "css": styles()}


def theme() -> gr.themes.Base:
    """One accent colour that is readable on white and on black, system fonts, nothing from a network."""
    sans = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")
    base = gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=sans, font_mono=mono, radius_size="sm")
    return base.set(
        color_accent="*primary_700",
        body_text_color_subdued="*neutral_600",
        block_title_text_color="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_border_color="*primary_700",
        button_primary_border_color_dark="*primary_700",
        button_secondary_text_color="*neutral_800",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        button_large_text_size="*text_md",
        button_large_text_weight="500",
        button_medium_text_weight="500",
    )
