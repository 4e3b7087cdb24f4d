"""The figures of infinity_speed.py for people, as a page."""

from typing import Any

GIGA, TERA = 1e9, 1e12


def page(runs: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# Infinity's speed and memory", "",
        "Random weights of the true shape, so the pictures mean nothing and the figures do; the text encoder is left "
        "out. Made by `python -m core.evaluation.infinity_speed`. Guidance doubles every pass; the peak is that of one "
        "large matrix product in the same numbers.",
    ]  # fmt: skip
    for title, run in runs.items():
        lines += ["", f"## {title}", "", _conditions(run), "", *_images(run)]
        if run["beams"]:
            lines += ["", *_beams(run)]
    return "\n".join(lines) + "\n"


def _conditions(run: dict[str, Any]) -> str:
    machine = run["machine"]
    shared = (f"; {machine['threads']} threads of {machine['cores']} cores, load {machine['load']:g}"
              if "threads" in machine else "")
    return (f"{machine['dtype']}, torch {machine['torch']}{shared}. Matrix peak {run['matrix_peak'] / TERA:.3g} "
            f"TFLOP/s, weights {run['weights_bytes'] / GIGA:.2f} GB.")


def _images(run: dict[str, Any]) -> list[str]:
    fitting = {count: one for count, one in run["images"].items() if "too_large" not in one}
    rows = [["scale", "tokens", *(f"batch {count}: {what}" for count in fitting for what in ("s", "of peak"))],
            ["---"] * (2 + 2 * len(fitting))]
    for step, (label, tokens) in enumerate(zip(run["labels"], run["tokens"], strict=True)):
        rows.append([label, str(tokens), *(cell for one in fitting.values() for cell in _rate(
            run, one["step_seconds"][step], one["step_flops"][step]))])
    rows.append(["decode", "", *(cell for one in fitting.values() for cell in _rate(
        run, one["decode_seconds"], one["decode_flops"]))])
    rows.append(["**an image**", "", *(cell for one in fitting.values() for cell in (
        f"**{one['seconds_per_image']:.3g}**", ""))])
    rows.append(["memory, GB: measured / forecast", "", *(cell for one in fitting.values() for cell in (
        _memory(one), ""))])
    refused = [f"Batch {count}: {one['too_large']}" for count, one in run["images"].items() if "too_large" in one]
    return [f"| {' | '.join(row)} |" for row in rows] + refused


def _rate(run: dict[str, Any], seconds: float, flops: float) -> tuple[str, str]:
    return f"{seconds:.3g}", f"{flops / seconds / run['matrix_peak']:.0%}"


def _beams(run: dict[str, Any]) -> list[str]:
    rows = [["beam search", "seconds", "NFE", "decodes", "TFLOP generator + decoder", "images' worth",
             "memory, GB: measured / forecast"], ["---"] * 7]
    for one in run["beams"].values():
        if "too_large" not in one:
            rows.append([f"width {one['width']}, branch {one['branch']}, {one['look']}", f"{one['seconds']:.3g}",
                         str(one["nfe"]), str(one["decodes"]), f"{one['generator_flops'] / TERA:.3g} + "
                         f"{one['decoder_flops'] / TERA:.3g}", f"{one['worth_images']:.1f}", _memory(one)])
    refused = [f"{look}: {one['too_large']}" for look, one in run["beams"].items() if "too_large" in one]
    return [f"| {' | '.join(row)} |" for row in rows] + refused


def _memory(one: dict[str, Any]) -> str:
    measured = f"{one['peak_bytes'] / GIGA:.2f}" if one["peak_bytes"] else "?"
    return f"{measured} / {one['forecast_bytes'] / GIGA:.2f}"
