"""A run as a program: the lines of Python that start the same search through the page's API."""

from core.search.events import RunSpec
from demo.settings import GIGA

PROGRAM = """\
from gradio_client import Client   # pip install gradio_client

client = Client({address!r})
job = client.submit(
{arguments}
    api_name="/search_tree",
)
for reply in job:   # as the tree grows
    print(reply["state"], reply["nodes"], "nodes, best:", reply["best"])
tree = client.predict(job.result()["run"], api_name="/get_run")["nodes"]
"""


def snippet(address: str, spec: RunSpec) -> str:
    """A program for whoever reaches the server at `address`. Every word of the spec enters it as a Python literal."""
    return PROGRAM.format(address=address, arguments="\n".join(f"    {line}," for line in _arguments(spec)))


def _arguments(spec: RunSpec) -> list[str]:
    named = {"prompt": spec.prompt, "strategy": spec.strategy, "model": spec.generator, "verifier": spec.verifier,
             "gflop": spec.budget_flops and spec.budget_flops / GIGA, "seed": spec.seed}  # fmt: skip
    more = dict(spec.params) | ({"judge": spec.judge, "finalists": spec.finalists} if spec.judge else {})
    return [f"{name}={value!r}" for name, value in {**named, "parameters": more}.items() if value is not None]
