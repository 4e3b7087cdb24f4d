"""Serve Beamscope: `python app.py [--host HOST] [--port PORT] [--share] [--password PASSWORD] [--device DEVICE]
[--dtype DTYPE] [--memory AMOUNT] [--fetch NAMES]`."""

import argparse
import os
import sys

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401  before torch: it takes the place of CUDA where a GPU is lent call by call

import uvicorn

from core.machine import limit_memory
from core.packages.catalogue import Package
from core.packages.command import fetch, wanted
from core.place import DEVICES, DTYPES, choose
from core.search.errors import BadRequest, BeamscopeError
from core.store.runs import RunStore
from demo import zero_gpu
from demo.embedded import embedded_models
from demo.server import build_app
from demo.share import open_tunnel


def main() -> None:
    parser = argparse.ArgumentParser(description="Live search trees over text-to-image generation, in the browser.")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
                        help="address to listen on (default: GRADIO_SERVER_NAME, else this machine only)")
    parser.add_argument("--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", 7860)))
    parser.add_argument("--share", action="store_true", help="also open a public address through Gradio's relay")
    parser.add_argument("--password", default=os.environ.get("BEAMSCOPE_PASSWORD"),
                        help="asked of every visitor (default: BEAMSCOPE_PASSWORD, which other users cannot read)")
    parser.add_argument("--device", help=f"of real models: {DEVICES} (BEAMSCOPE_DEVICE, else auto)")
    parser.add_argument("--dtype", help=f"of real models: auto, {', '.join(DTYPES)} (BEAMSCOPE_DTYPE, else auto)")
    parser.add_argument("--memory", help="of every search and its models: MiB, or such as 12GB (BEAMSCOPE_MEMORY, else "
                        "as much as there is)")
    parser.add_argument("--fetch", default=os.environ.get("BEAMSCOPE_FETCH"), metavar="NAMES",
                        help="models, with commas, whose weights are fetched before all else: you agree to their "
                        "licences (BEAMSCOPE_FETCH)")
    args = parser.parse_args()
    try:
        choose(args.device, args.dtype)
        limit_memory(args.memory)
        packages = wanted((args.fetch or "").replace(",", " ").split())
    except BadRequest as error:
        parser.error(str(error))
    _fetched(packages)
    models = embedded_models()
    app = build_app(models, RunStore(), password=args.password)
    zero_gpu.start(models)
    if args.share:
        open_tunnel(args.port)
    print(f"Beamscope is at http://{args.host}:{args.port}", flush=True)
    uvicorn.run(app, host=args.host, port=args.port, log_level="warning")


def _fetched(packages: list[Package]) -> None:
    """Nothing that is missing keeps the page from being served."""
    try:
        if packages:
            fetch(packages, yes=True)
    except BeamscopeError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
