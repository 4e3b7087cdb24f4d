"""Look of the page: a re-hued Monochrome (the one stock theme without contrast violations in light and dark)."""

from pathlib import Path

import gradio as gr

STATIC = Path(__file__).parent / "static"
STYLES = ("page.css", "stage.css", "inspector.css", "pages.css", "share.css", "states.css")  # the controls' first


def make_theme() -> gr.themes.Base:
    """Monochrome with slate neutrals, system fonts and small radii; fetches nothing."""
    return gr.themes.Monochrome(
        primary_hue="blue",
        neutral_hue="slate",
        radius_size="sm",
        font=["Inter", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def page_css() -> str:
    """All style sheets as one."""
    return "\n".join((STATIC / name).read_text("utf-8") for name in STYLES)
