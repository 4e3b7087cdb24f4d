"""A run as a film: MP4 for people, animated WebP for pages and chats, a small GIF for where neither is taken.

The lanes go on by the compute that they had spent, as in the replay of the page. However long the run, a film has at
most MOST pictures and ends with the result.
"""

import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from core.compare import race
from core.search.errors import BadRequest
from core.search.events import Event
from core.search.tree import Tree
from demo.film_frame import SIZE, Scenery

MOST = 48            # pictures
PACE = 8             # pictures a second
HOLD = 2.5           # seconds that the last one stays
SMALL = (720, 405)   # px of the animated WebP
TINY = (384, 216)    # px of the GIF
FEW = 24             # pictures of the GIF
COLOURS = 128        # of the GIF
NO_FFMPEG = "no film can be made here: install imageio-ffmpeg (requirements.txt names it), or save the animated WebP"


def moments(lanes: Sequence[Sequence[Event]], most: int = MOST) -> Iterator[tuple[Tree, ...]]:
    """The trees of all lanes after at most `most` of their events, evenly spread, the last one always."""
    trees, total = [Tree() for _ in lanes], sum(map(len, lanes))
    wanted = {round((i + 1) * total / min(most, total)) for i in range(min(most, total))}
    for count, (lane, event) in enumerate(race(*map(iter, lanes)), start=1):
        trees[lane] = trees[lane].apply(event)
        if count in wanted:
            yield tuple(trees)


def animated_webp(scenery: Scenery, lanes: Sequence[Sequence[Event]]) -> bytes:
    """An endless animation of the run."""
    pictures = [scenery.draw(trees).resize(SMALL, Image.Resampling.LANCZOS) for trees in moments(lanes)]
    times = [*[1000 // PACE] * (len(pictures) - 1), int(1000 * HOLD)]
    out = BytesIO()
    pictures[0].save(out, "WEBP", save_all=True, append_images=pictures[1:], duration=times, loop=0, quality=72,
                     method=2)  # fmt: skip
    return out.getvalue()


def gif(scenery: Scenery, lanes: Sequence[Sequence[Event]]) -> bytes:
    """The same, smaller and with fewer pictures: every program shows it, none packs it well."""
    pictures = [scenery.draw(trees).resize(TINY, Image.Resampling.LANCZOS) for trees in moments(lanes, FEW)]
    last = pictures[-1].quantize(COLOURS, dither=Image.Dither.NONE)  # one palette for all, or colours would flicker
    frames = [picture.quantize(palette=last, dither=Image.Dither.NONE) for picture in pictures]
    times = [2 * 1000 // PACE] * (len(frames) - 1) + [int(1000 * HOLD)]
    out = BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False)
    return out.getvalue()


def mp4(scenery: Scenery, lanes: Sequence[Sequence[Event]]) -> bytes:
    """H.264 that plays everywhere. Raises BadRequest where the encoder is not installed."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise BadRequest(NO_FFMPEG) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        settings = ["-crf", "22", "-preset", "veryfast", "-movflags", "+faststart", "-threads", "1"]
        writer = imageio_ffmpeg.write_frames(
            str(path), SIZE, fps=PACE, codec="libx264", pix_fmt_out="yuv420p", macro_block_size=2, quality=None,
            output_params=settings, ffmpeg_log_level="error",
        )  # fmt: skip
        writer.send(None)
        for trees in moments(lanes):
            last = np.ascontiguousarray(scenery.draw(trees))
            writer.send(last)
        for _ in range(int(HOLD * PACE)):
            writer.send(last)
        writer.close()
        return path.read_bytes()
