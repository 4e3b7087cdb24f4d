"""The page's own elements: with JavaScript the stage (tree, inspector, results) and a line of messages; and controls.

Their templates hold no values: text reaches the page only through `textContent`, in demo/static/*.js.
"""

from typing import Any

import gradio as gr

MOUNT = """
import("/page/%s").then((module) => module.mount(element, { props, trigger, watch })).catch((error) => {
  element.firstElementChild.textContent = "The page script did not load: " + error.message;
});
"""


class Stage(gr.HTML):
    """Draws one comparison; value is {"run": id, "ticket": any new value, "replay": bool}, or {} for none,
    or {"warn": sentence} where it is to say why there is none.

    Event `live` ({"live": bool}) says that the run shown began or ended, `ready` that the models are loaded now.
    """

    def __init__(self, **props: Any):
        super().__init__(
            value={},
            html_template="<div class='bs-stage'>Loading the tree …</div>",
            js_on_load='const events = ["live", "ready"];' + MOUNT % "stage.js",
            apply_default_css=False,
            **props,
        )

    def api_info(self) -> dict[str, Any]:
        """The value is an object, not markup."""
        return {"type": "object"}


class Notice(gr.HTML):
    """Lines of text; value is {"lines": [{"kind": str, "parts": [{"kind": str, "text": str}]}]}."""

    def __init__(self, value: dict[str, Any] | None = None, **props: Any):
        super().__init__(
            value=value or {"lines": []},
            html_template="<div class='bs-lines' role='status' aria-live='polite'></div>",
            js_on_load=MOUNT % "notice.js",
            apply_default_css=False,
            **props,
        )

    def api_info(self) -> dict[str, Any]:
        """The value is an object, not markup."""
        return {"type": "object"}


class _AsSent:
    """A control whose value is handed on as the browser sent it: demo/settings.py checks it and says what is wrong."""

    def preprocess(self, payload: Any) -> Any:
        return payload


class Choice(_AsSent, gr.Dropdown):
    """One of a few; what is not among them is a matter of the settings."""

    def get_block_name(self) -> str:
        return "dropdown"


class Dial(_AsSent, gr.Slider):
    """A number; its ends are where a person is expected to stay."""

    def get_block_name(self) -> str:
        return "slider"


class Amount(_AsSent, gr.Number):
    """A number to be typed, or nothing."""

    def get_block_name(self) -> str:
        return "number"


def line(kind: str, *parts: tuple[str, str]) -> dict[str, Any]:
    """One line of a `Notice` from (kind, text) parts."""
    return {"kind": kind, "parts": [{"kind": part, "text": text} for part, text in parts]}


def lines(*items: dict[str, Any]) -> dict[str, Any]:
    """The value of a `Notice`."""
    return {"lines": list(items)}
