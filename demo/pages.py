"""The pages beside Explore: plain documents with the same top bar, each filled by one script of demo/static.

They need nothing of Gradio, so they are there at once. Text that people typed reaches them only as data of their
scripts.
"""

from html import escape

from demo import strings
from demo.theme import STYLES

SCRIPT = {"gallery": "gallery.js", "compare": "overlay.js", "learn": "learn.js", "about": "about.js"}
PARENT = {"compare": "gallery"}  # pages that are reached from another one
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'; object-src 'none'"
)  # the drawing library writes style rules of its own


def document(name: str) -> str:
    """One page as HTML; its content comes from its script."""
    title = escape(strings.PAGES[name])
    styles = "".join(f'<link rel="stylesheet" href="/page/{sheet}">' for sheet in STYLES)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} · {strings.TITLE}</title>{styles}</head>"
        f'<body class="bs-document bs-{name}"><script src="/page/theme.js"></script>'
        f'<a class="bs-skip" href="#bs-content">{escape(strings.SKIP)}</a>'
        f'<header>{top_bar(name)}</header><main id="bs-content" tabindex="-1">'
        f'<div id="bs-root"><p class="bs-muted">{escape(strings.LOADING_PAGE)}</p></div>'
        f"<noscript><p>{escape(strings.NO_SCRIPT)}</p></noscript></main>"
        f'<script type="module" src="/page/{SCRIPT[name]}"></script></body></html>'
    )


def top_bar(active: str) -> str:
    """Brand and the links to all pages, the active one marked. The brand of Explore is that page's heading."""
    brand = f'<a class="bs-home" href="/" title="{escape(strings.SUBTITLE)}">{MARK}<span>{strings.TITLE}</span></a>'
    if active == "explore":
        brand = f'<h1 class="bs-home">{brand}</h1>'
    links = "".join(
        f'<a href="{"/" if name == "explore" else f"/{name}"}"'
        f'{_current(name, active)}>{escape(title)}</a>'
        for name, title in strings.PAGES.items() if name not in PARENT
    )  # fmt: skip
    return (
        f'<div class="bs-top">{brand}<nav aria-label="{escape(strings.NAVIGATION)}">{links}</nav>'
        f'<button type="button" class="bs-theme" aria-label="{escape(strings.THEME)}" title="{escape(strings.THEME)}">'
        f"{MOON}</button></div>"
    )


def _current(name: str, active: str) -> str:
    """The mark of the link to the page that is shown, or to the one that it belongs to."""
    if name == active:
        return ' aria-current="page"'
    return ' aria-current="true"' if PARENT.get(active) == name else ""


MARK = (  # a tree of three, the best path marked
    '<svg class="bs-mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">'
    '<path d="M5 12 L18 5 M5 12 L18 12" fill="none" stroke="currentColor" stroke-width="1.6" opacity=".5"/>'
    '<path d="M5 12 L18 19" fill="none" stroke="var(--bs-best)" stroke-width="2.4"/>'
    '<rect x="15.5" y="2.5" width="5" height="5" rx="1" fill="currentColor" opacity=".5"/>'
    '<rect x="15.5" y="9.5" width="5" height="5" rx="1" fill="currentColor" opacity=".5"/>'
    '<rect x="15" y="16" width="6" height="6" rx="1" fill="var(--bs-best)"/>'
    '<circle cx="5" cy="12" r="3" fill="var(--bs-best)"/></svg>'
)
MOON = (
    '<svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">'
    '<path d="M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z" fill="none" stroke="currentColor" stroke-width="1.8" '
    'stroke-linejoin="round"/></svg>'
)
