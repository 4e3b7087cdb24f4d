"""Serve Beamscope: `python app.py [--host HOST] [--port PORT] [--share] [--password PASSWORD] [--device DEVICE]
[--dtype DTYPE]
[--memory AMOUNT]`."""

import argparse
import os

import uvicorn

from core.machine import limit_memory
from core.place import DEVICES, DTYPES, choose
from core.runs import RunStore
from core.search.errors import BadRequest
from demo.embedded import embedded_models
from demo.server import build_app
from demo.share import open_tunnel


def main() -> None:
    parser = argparse.ArgumentParser(description="Live search trees over text-to-image generation, in the browser.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="also open a public address through Gradio's relay")
    parser.add_argument("--password", default=os.environ.get("BEAMSCOPE_PASSWORD"),
                        help="asked of every visitor (default: BEAMSCOPE_PASSWORD, which other users cannot read)")
    parser.add_argument("--device", help=f"of real models: {DEVICES} (BEAMSCOPE_DEVICE, else auto)")
    parser.add_argument("--dtype", help=f"of real models: auto, {', '.join(DTYPES)} (BEAMSCOPE_DTYPE, else auto)")
    parser.add_argument("--memory", help="of every search and its models: MiB, or such as 12GB (BEAMSCOPE_MEMORY, else "
                        "as much as there is)")
    args = parser.parse_args()
    try:
        choose(args.device, args.dtype)
        limit_memory(args.memory)
    except BadRequest as error:
        parser.error(str(error))
    app = build_app(embedded_models(), RunStore(), password=args.password)
    if args.share:
        open_tunnel(args.port)
    print(f"Beamscope is at http://{args.host}:{args.port}", flush=True)
    uvicorn.run(app, host=args.host, port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
