"""Print what an experiment will cost: models, images, hours on this machine, disk. Nothing is trained or downloaded."""

import argparse
import json
import logging
import sys
from collections import Counter, defaultdict
from contextlib import redirect_stderr
from pathlib import Path
from statistics import median
from typing import Any

import torch

from advtransfer import estimate
from advtransfer.activations import CACHE_BYTES, CACHE_SHARE
from advtransfer.artefacts import whole_file
from advtransfer.checkpoints import architecture_of
from advtransfer.command_line import command_line
from advtransfer.config.needs import MEASURED, STEP, relative_cost
from advtransfer.config.studies import work
from advtransfer.devices import pick_device
from advtransfer.targets.listing import image_shape


def main() -> None:
    """Parse, plan, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="experiment and what it refers to, as JSON")
    parser.add_argument("--cores", type=int, default=1, help="of the machine, for all jobs together")
    parser.add_argument("--threads", type=int, default=1, help="of one job")
    parser.add_argument("--seconds", type=float, required=True, help="about how long to measure, apart from starts")
    arguments = parser.parse_args()
    settings = arguments.settings
    experiment, sources, targets = settings["experiment"], settings["sources"], settings["targets"]
    parts = estimate.plan(experiment, settings["protocols"], targets)
    left = [part for part in parts if not part.done]
    if not parts:
        say(f"Experiment {experiment['name']}: nothing to train, its rows are read from a file.")
        return
    say(
        f"Experiment {experiment['name']}, protocol {experiment['protocol']}: {models(parts):,} models in {jobs(parts):,} jobs; "
        f"{models(parts) - models(left):,} models in {jobs(parts) - jobs(left):,} jobs are done."
    )
    for study in work(experiment):
        say(
            f"Besides, not in the times below: {study.study}, {study.networks:,} networks ({study.networks_left:,} to train), which "
            f"{study.jobs:,} jobs measure ({study.jobs_left:,} left)."
        )
    if not left:
        say("Nothing is left to train.")
        return

    # Sources of one architecture cost the same.
    networks: dict[str, list[str]] = defaultdict(list)
    architectures: dict[str, dict[str, Any]] = {}
    costs: list[tuple[dict[str, Any], estimate.Cost]] = []
    for name in dict.fromkeys(part.source for part in parts):
        architecture = architecture_of(sources[name])
        text = "{resolution}x{resolution} pixels, {layers} blocks, width {width:g}".format(
            **{**architecture, "layers": "-".join(map(str, architecture["layers"]))}
        )
        networks[text].append(name)
        architectures[text] = architecture
    measured = {(text, part.blocks) for text, names in networks.items() for part in left if part.source in names}
    with redirect_stderr(sys.stdout):  # if it has to wait for a GPU, the terminal should say so
        device = pick_device(arguments.threads, next(iter(settings["protocols"].values())).get("precision"))
    gpu = device.type == "cuda"
    machine = torch.cuda.get_device_name(device) if gpu else f"CPU, {arguments.threads} thread(s) a job"
    say(f"Measuring on {machine}; this takes about a minute.")
    start = estimate.start_seconds(Path(__file__).with_name("transfer.py"))

    seconds: dict[estimate.Part, float] = {}
    sizes_of = Counter(part.file for part in parts)
    cache_bytes = 0
    for text, names in networks.items():
        say("", f"Networks of {text} ({', '.join(names)}):", line(*HEADER))
        for blocks in sorted({part.blocks for part in parts}):
            planned = [part for part in parts if part.source in names and part.blocks == blocks]
            waiting = [part for part in planned if not part.done]
            if not waiting:
                continue
            largest = max(waiting, key=lambda part: part.training_passes)
            protocol = settings["protocols"][str(largest.images)]
            shape = max(image_shape(targets[part.target], part.target) for part in waiting)
            cost = estimate.calibrate(
                architectures[text],
                blocks,
                protocol,
                largest.seeds,
                shape,
                device,
                arguments.seconds / len(measured),
            )
            costs.append((architectures[text], cost))
            # The sizes of a job share its start.
            took = {part: start / sizes_of[part.file] + cost.seconds(part, protocol) for part in waiting}
            held = (estimate.activation_cache_bytes(architectures[text], part, protocol) for part in waiting)
            cache_bytes = max(cache_bytes, *held)
            seconds |= took
            say(row(blocks, planned, waiting, took, cost))
    keep(costs, machine)
    if len(measured) > 1:
        say(row("all", parts, left, seconds))

    at_once = max(1, arguments.cores // arguments.threads)
    if gpu:
        at_once = min(at_once, torch.cuda.device_count())
    total, longest = sum(seconds.values()), Counter()
    for part, took in seconds.items():
        longest[part.file] += took
    wall = max(total / at_once, max(longest.values()))
    say("", f"Time: {duration(total)} of computing, {duration(wall)} with {at_once} job(s) at once.")
    say(
        f"A job takes {duration(median(longest.values()))} (median; {duration(max(longest.values()))} at most), {duration(start)} of them "
        "to start; 'seeds_per_job' says what jobs hold."
    )
    written = estimate.disk_bytes(left, sources, targets, settings["drawn_seeds"])
    parts = ", ".join(f"{what} {size(count)}" for what, count in written.items() if count)
    say(f"Disk: {size(sum(written.values()))} more ({parts}).")
    if cache_bytes > (CACHE_SHARE * torch.cuda.mem_get_info(device)[1] if gpu else CACHE_BYTES):
        say(
            f"Temporary: a job's activation cache takes up to {size(cache_bytes)} in a mapped file in $TMPDIR, while it runs."
        )
    trained = sorted({part.source for part in left if sources[part.source]["kind"] == "train"})
    if trained:
        say(f"Not included: the training of {', '.join(trained)}.")


HEADER = (
    "blocks",
    "models",
    "left",
    "jobs left",
    "training images",
    "evaluation images",
    "train/s",
    "evaluate/s",
    "time",
)


def keep(costs: list[tuple[dict[str, Any], estimate.Cost]], machine: str) -> None:
    """Write down how long a forward pass takes, of the largest images, which fill the device, the slowest: jobs on a cluster ask for time by it."""
    largest = max(architecture["resolution"] for architecture, _ in costs)
    pace = max(
        max(cost.once + cost.evaluate, cost.train / STEP) / relative_cost(architecture)
        for architecture, cost in costs
        if architecture["resolution"] == largest
    )
    with whole_file(MEASURED) as part:
        part.write_text(json.dumps({"device": machine, "forward_seconds": pace}))


def row(
    blocks: int | str,
    planned: list[estimate.Part],
    left: list[estimate.Part],
    seconds: dict[estimate.Part, float],
    cost: estimate.Cost | None = None,
) -> str:
    """One line of the table; rates in images a second, where a single cost stands behind it."""
    return line(
        blocks,
        f"{models(planned):,}",
        f"{models(left):,}",
        f"{jobs(left):,}",
        f"{sum(part.training_passes for part in left):,}",
        f"{sum(part.evaluation_passes for part in left):,}",
        rate(cost.train) if cost else "",
        rate(cost.evaluate) if cost else "",
        duration(sum(seconds.values())),
    )


def line(*cells: object) -> str:
    """Cells aligned under HEADER."""
    return "  ".join(str(cell).rjust(width) for cell, width in zip(cells, (6, 7, 7, 9, 17, 17, 8, 10, 10), strict=True))


def models(parts: list[estimate.Part]) -> int:
    """How many models jobs train."""
    return sum(part.seeds for part in parts)


def jobs(parts: list[estimate.Part]) -> int:
    """How many jobs there are."""
    return len({part.file for part in parts})


def rate(seconds: float) -> str:
    """Images a second, of the seconds that one takes."""
    return f"{1 / seconds:,.1f}" if seconds > 0.1 else f"{1 / seconds:,.0f}" if seconds else "-"


def duration(seconds: float) -> str:
    """A time in the unit that a person would use."""
    for unit, length, limit in (("s", 1, 120), ("min", 60, 7200), ("hours", 3600, 100 * 3600)):
        if seconds < limit:
            return f"{seconds / length:.{0 if unit == 's' else 1}f} {unit}"
    return f"{seconds / 3600:,.0f} hours"


def size(count: int) -> str:
    """Bytes as MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def say(*lines: str) -> None:
    """Print lines at once, so that each is seen when it is known."""
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    with command_line(logging.WARNING):  # not each line of the runs that are measured
        main()
