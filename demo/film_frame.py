"""One picture of a film: the search's tree so far, the best image of each side, the compute spent. Pillow alone.

Everything has the place that it will have in the end, so that nothing jumps from picture to picture.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from core.search.tree import Tree
from demo import view
from demo.settings import GIGA, method
from demo.streaming import Reader
from demo.strings import TITLE, guide_name

SIZE = WIDTH, HEIGHT = 960, 540                                  # px; even, as videos want it
INK, MUTED, FAINT, EDGE, LINE, PANEL = "#1c2329", "#56626c", "#808b95", "#c0c8cf", "#dfe4e8", "#ffffff"
BEST, SECOND = "#d55e00", "#0072b2"
CIVIDIS = ("#00204d", "#00336f", "#39486b", "#575d6d", "#707173", "#8a8779", "#a69d75", "#c4b56c", "#e4cf5b", "#ffea46")
TREE = (24, 78, 664, 470)                                        # left, top, right, bottom
ASIDE, PICTURE = 700, 168                                        # left edge of the results, their side
LARGEST, SMALLEST = 44, 7                                        # px of a node
LEAST_UNITS = 6.0                                                # height that a small tree is drawn for


class Scenery:
    """Draws any moment of one comparison. lanes: its readers, complete; labels: whose lane each is."""

    def __init__(self, lanes: Sequence[Reader], labels: Sequence[str]):
        self.lanes, self.labels = lanes, labels
        whole = lanes[0].tree
        self.units = max(LEAST_UNITS, view.units(view.rows(whole)))
        self.span = view.span(whole.spec.verifier, [score for lane in lanes for score in lane.scores])
        self.planned = max(*(lane.tree.spent.flops for lane in lanes), 1.0)
        left, top, right, bottom = TREE
        self.along, self.across = (right - left) / (whole.num_steps + 1), (bottom - top) / self.units
        self._picture = lru_cache(maxsize=4096)(self._load)

    def draw(self, trees: Sequence[Tree]) -> Image.Image:
        """The moment at which the lanes had come to these trees."""
        image = Image.new("RGB", SIZE, PANEL)
        pen = ImageDraw.Draw(image)
        self._head(pen)
        self._axis(pen)
        self._tree(image, pen, trees[0])
        for index, tree in enumerate(trees):
            self._result(image, pen, index, tree)
        self._bar(pen, trees[0])
        return image

    # Words and lines

    def _head(self, pen: ImageDraw.ImageDraw) -> None:
        spec = self.lanes[0].tree.spec
        pen.text((24, 16), _shortened(f"“{spec.prompt}”", 84), INK, _font(21))
        pen.text((24, 46), _shortened(f"{method(spec)} · seed {spec.seed}", 120), MUTED, _font(13))
        pen.text((WIDTH - 24, 16), TITLE, MUTED, _font(14), anchor="ra")

    def _axis(self, pen: ImageDraw.ImageDraw) -> None:
        tree = self.lanes[0].tree
        every = -(-(tree.num_steps + 1) // 12)
        for step in range(0, tree.num_steps + 1, every):
            x = TREE[0] + (step + 0.5) * self.along
            pen.line((x, TREE[1], x, TREE[3] + 4), LINE)
            pen.text((x, TREE[3] + 18), tree.label(step), MUTED, _font(12), anchor="mm")

    def _bar(self, pen: ImageDraw.ImageDraw, tree: Tree) -> None:
        share = min(1.0, tree.spent.flops / self.planned)
        pen.rounded_rectangle((24, 514, 664, 522), 4, LINE)
        if share > 0.01:
            pen.rounded_rectangle((24, 514, 24 + 640 * share, 522), 4, BEST)
        said = f"{tree.spent.flops / GIGA:.0f} of {self.planned / GIGA:.0f} GFLOP · {len(tree.nodes)} nodes"
        pen.text((ASIDE, 518), said, MUTED, _font(14), anchor="lm")

    # The tree

    def _tree(self, image: Image.Image, pen: ImageDraw.ImageDraw, tree: Tree) -> None:
        rows = {id: row for id, row in view.rows(tree).items() if row["y"] is not None}
        path = set(view.best_path(tree))
        for row in sorted(rows.values(), key=lambda row: (row["id"] in path, row["state"] != "pruned")):
            parent = rows.get(row["parent"])
            if parent:
                best = row["id"] in path and row["parent"] in path
                colour, width = (BEST, 4) if best else (EDGE, 1) if row["state"] == "pruned" else (MUTED, 1)
                pen.line((*self._place(parent), *self._place(row)), colour, width)
        for row in rows.values():
            self._node(image, pen, row, row["id"] in path)

    def _place(self, row: Mapping[str, Any]) -> tuple[float, float]:
        return TREE[0] + (row["x"] + 0.5) * self.along, TREE[1] + row["y"] * self.across

    def _node(self, image: Image.Image, pen: ImageDraw.ImageDraw, row: Mapping[str, Any], best: bool) -> None:
        x, y = self._place(row)
        if row["parent"] is None and not row["image"]:
            pen.ellipse((x - 7, y - 7, x + 7, y + 7), PANEL, BEST if best else MUTED, 3)
            return
        side = int(max(SMALLEST, min(row["h"] * self.across * 0.88, self.along * 0.66, LARGEST)))
        faded = row["state"] == "pruned" and not best
        left, top = round(x - side / 2), round(y - side / 2)
        pen.rectangle((left, top, left + side, top + side), self._colour(row["score"], faded),
                      BEST if best else FAINT if faded else MUTED, 3 if best else 1)
        inner = side - (7 if best else 5)
        if row["image"] and inner > 5 and (picture := self._picture(0, row["id"], row["image"], inner, faded)):
            image.paste(picture, (left + (side - inner + 1) // 2, top + (side - inner + 1) // 2))

    def _colour(self, score: float | None, faded: bool) -> str | tuple[int, ...]:
        if score is None:
            return PANEL
        low, high = self.span
        place = round(max(0.0, min(1.0, (score - low) / (high - low))) * (len(CIVIDIS) - 1))
        return _pale(CIVIDIS[place]) if faded else CIVIDIS[place]

    # The results

    def _result(self, image: Image.Image, pen: ImageDraw.ImageDraw, index: int, tree: Tree) -> None:
        top, colour = 78 + index * 216, (BEST, SECOND)[index]
        pen.rectangle((ASIDE, top, ASIDE + PICTURE, top + PICTURE), "#f4f6f7", colour, 3)
        best = tree.best()
        if best and (picture := self._picture(index, best.id, "f", PICTURE - 5, False)):
            image.paste(picture, (ASIDE + 3, top + 3))
        name = guide_name(tree.spec.verifier, whole=False) if tree.spec else ""
        score = f"{name} {tree.best_score():.3f}" if best else "no finished image yet"
        pen.text((ASIDE, top + PICTURE + 6), _shortened(self.labels[index], 34), INK, _font(14))
        pen.text((ASIDE, top + PICTURE + 24), score, MUTED, _font(13))

    def _load(self, lane: int, node: int, kind: str, side: int, faded: bool) -> Image.Image | None:
        reader = self.lanes[lane]
        try:
            stored = reader.store.image(reader.run, node, view.PICTURES[kind])
        except FileNotFoundError:
            return None
        picture = Image.open(BytesIO(stored)).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        return Image.blend(picture, Image.new("RGB", picture.size, PANEL), 0.5) if faded else picture


@lru_cache(maxsize=16)
def _font(px: int) -> ImageFont.FreeTypeFont:
    """The one that comes with Pillow: the same on every machine."""
    return ImageFont.load_default(px)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _pale(colour: str) -> tuple[int, ...]:
    """Half way to white."""
    return tuple((int(colour[place : place + 2], 16) + 255) // 2 for place in (1, 3, 5))
