"""From gpu.json to GPU.md."""

import statistics
from collections.abc import Sequence
from typing import Any

import gpu_cases
from cases import CASES
from gpu_plan import CONFIGS, LANES, ONE, SMALL, STEPS, TRIED, ours, theirs

MISSING = "not measured"
COMMAND = "python experiments/benchmarks/gpu.py"
NOTES = """
## Notes

- Measured with `--seconds 228` at commit 4dc76ee; what stands further down the plan was not
  reached. By default a run takes nearly twice as long.
- One ResNet-18: a step of jaxcl is a loop on the device, of 59 convolutions by cuDNN, which XLA
  puts into NHWC by itself, and some 250 fused kernels. It is faster than eager PyTorch and
  `torch.compile`, which wait for the host, and slower than PyTorch's step in a CUDA graph. At
  width 20 and batch 32 that is about 5 microseconds a kernel, so launching them is likely to be
  what it waits for; it was not profiled.
- Several ResNets as one program: under `vmap` each convolution becomes one with
  `feature_group_count` = number of networks (59 of 59 in the compiled programs of 16). In float32
  that is no faster than the same networks one after the other, in bfloat16 somewhat; in the sweep
  of the CNN it is no faster either. Dense networks gain severalfold.
- "products" are the same convolutions as matrix products of patches
  (`jaxcl.networks.convolutions.loop_convolution`), which `vmap` makes batched products: of 16
  narrow ResNets in float32 the fastest form. With wide ones it was not measured.
- Without XLA's search for the fastest algorithms (`xla_gpu_autotune_level=0`) programs compile in
  less time, but their steps took ten (width 20) to hundreds (width 64) of times as long. The
  search wants the GPU to itself: eight programs compiled in threads of one process, beside
  PyTorch's warm-up, were not all ready after six minutes; one after the other they take seconds
  each. So here sides wait for each other while they search.
- Of the sweep, the time to get ready is that of one program: of jaxcl tracing and compiling, of
  PyTorch all up to the fifth step; its graph finds what its compiled form has compiled.
"""
Table = list[list[str]]


class Block:
    """What took turns."""

    def __init__(self, results: dict[str, Any], name: str):  # noqa: D107
        found = results["blocks"].get(name, {"units": {}, "turns": {}})
        self.seconds = {
            key: [wall / found["units"][key] for wall in walls]
            for key, walls in found["turns"].items()
            if walls
        }

    def median(self, key: str) -> float | None:
        """Seconds of a unit; None if there are none."""
        return statistics.median(self.seconds[key]) if key in self.seconds else None

    def fastest(self, keys: Sequence[str]) -> str | None:
        """The key of the least median."""
        there = [key for key in keys if key in self.seconds]
        return min(there, key=lambda key: statistics.median(self.seconds[key]), default=None)

    def ratio(self, ours: str, keys: Sequence[str], scale: float = 1.0) -> str:
        """Theirs / ours of neighbouring turns: the median, and the range."""
        peer = self.fastest(keys)
        if peer is None or ours not in self.seconds:
            return MISSING
        pairs = zip(self.seconds[ours], self.seconds[peer], strict=False)
        found = [scale * b / a for a, b in pairs]
        return f"**{statistics.median(found):.2f}** ({min(found):.2f} to {max(found):.2f})"


def page(results: dict[str, Any]) -> str:
    """GPU.md."""
    parts = [
        "# jaxcl beside PyTorch on a GPU\n\n",
        f"Written by `{COMMAND}`; figures are medians of turns, ratios are of neighbouring"
        " turns, with their range.\n\n",
        _setting(results),
        "\n## Steps\n\nAbove 1 jaxcl is faster; of PyTorch's forms the fastest counts. A cell is"
        " empty where that form was not written: without a CUDA graph the ratio mostly says how"
        " long Python takes to start the operations. The exact Fisher of PyTorch is computed"
        " example by example.\n\n",
        lines(steps(results)),
        "\n## ResNet-18 with batch normalisation\n\nImages a second of training (SGD), over all"
        " networks; random bytes in CIFAR's shape. PyTorch trains several networks one after the"
        " other, so its rate does not depend on how many there are.\n\n",
        lines(resnets(results)),
        "\n## A sweep of EWC's strength\n\nSixteen strengths, 500 steps each.\n\n",
        lines(sweeps(results)),
        "\n## What was tried\n\n",
        lines(tried(results)),
        NOTES,
    ]
    return "".join(parts)


def lines(table: Table) -> str:
    """A table in Markdown; its first row is the header."""
    head, *rows = table
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])


def _setting(results: dict[str, Any]) -> str:
    gpu, sides = results.get("gpu", []), results.get("sides", {})
    seen = [block["gpu"] for block in results["blocks"].values() if block.get("gpu")]
    first = (seen or gpu or [{}])[0]
    clocks = sorted({int(each["clocks.sm"].split()[0]) for each in seen if "clocks.sm" in each})
    said = [
        f"- {first.get('name', 'no GPU')}, driver {first.get('driver_version', '-')}; right after"
        f" the turns the processors ran at {_range(clocks)}"
        f" MHz of at most {first['clocks.max.sm']}, memory at {first['clocks.mem']}."
        if clocks
        else "- No GPU was seen.",
        *(
            f"- {name}: {', '.join(f'{k} {v}' for k, v in found.items())}."
            for name, found in sides.items()
        ),
        "- float32 means the same on both sides: products of convolutions and matrices may use"
        " TF32 (JAX's default precision on a GPU; `allow_tf32` in PyTorch). bf16: convolutions and"
        " activations in bfloat16, weights and sums in float32 (`autocast` in PyTorch).",
        "- PyTorch: channels last, fused optimisers, `cudnn.benchmark`; eager, through"
        " `torch.compile`, and the compiled step in a CUDA graph.",
        *(f"- {line}" for line in agreement(results)),
    ]
    return "\n".join(said) + "\n"


def _range(numbers: list[int]) -> str:
    return " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))


def agreement(results: dict[str, Any]) -> list[str]:
    """How far the sides' losses of the first steps are apart."""
    found: dict[str, list[float]] = {"float32": [], "bf16": []}
    for _, (own, *others) in (*ONE, *STEPS):
        ours_ = results["ready"].get(own, {}).get("check")
        for key in others if ours_ else ():
            theirs_ = results["ready"].get(key, {}).get("check", [])
            kind = "bf16" if "bf16" in own else "float32"
            found[kind] += [abs(a - b) / abs(a) for a, b in zip(ours_, theirs_, strict=False)]
    return [
        f"Losses of the first five steps differ by at most {max(of):.1e} of their size in {kind},"
        f" {statistics.median(of):.1e} in the middle."
        for kind, of in found.items()
        if of
    ]


def per(seconds: float | None) -> str:
    """A time with the unit that suits it."""
    if seconds is None:
        return MISSING
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def steps(results: dict[str, Any]) -> Table:
    """A step of each case."""
    table = [["case", "unit", "jaxcl", "eager", "compiled", "graph", "PyTorch / jaxcl"]]
    for name, keys in STEPS:
        block, case = Block(results, name), CASES[name.partition("/")[2]]
        forms = {gpu_cases.parsed(key).form: key for key in keys}
        cells = [
            per(block.median(forms[form])) if form in forms else "" for form in gpu_cases.PEERS
        ]
        own = per(block.median(keys[0]))
        table.append([case.title, case.unit, own, *cells, block.ratio(keys[0], keys[1:])])
    return table


def rate(images: float, seconds: float | None) -> str:
    """Images a second."""
    return MISSING if seconds is None else f"{images / seconds:,.0f}"


def resnets(results: dict[str, Any]) -> Table:
    """Images a second of ResNet-18."""
    seeds = [f"{n} together" for n in LANES]
    last = [f"PyTorch / jaxcl, {n}" for n in (1, *LANES)]
    table = [["width, batch, numbers", "jaxcl, one", *seeds, *gpu_cases.PEERS, *last]]
    for config in CONFIGS:
        batch = int(config.split("-")[1][1:])
        alone, peers = ours("resnet", config, 1), theirs("resnet", config)
        one = Block(results, f"resnet/{config}/1")
        row = [config.replace("-", ", "), rate(batch, one.median(alone))]
        ratios = [one.ratio(alone, peers)]
        for n in LANES:
            block, key = Block(results, f"resnet/{config}/{n}"), ours("resnet", config, n)
            row.append(rate(n * batch, block.median(key)))
            ratios.append(block.ratio(key, peers, n))
        table.append([*row, *(rate(batch, one.median(peer)) for peer in peers), *ratios])
    return table


def sweeps(results: dict[str, Any]) -> Table:
    """Wall time of a sweep, with and without compiling."""
    n = len(gpu_cases.STRENGTHS)
    table = [["network", "how", "seconds", "with tracing and compiling"]]
    for case in SMALL:
        name = f"sweep/{case}"
        block, units = Block(results, name), results["blocks"].get(name, {}).get("units", {})
        rows = [
            ("jaxcl, one program", ours("sweep", case, n), 1),
            ("jaxcl, one after the other", ours("sweep", case, n, "after"), 1),
            *((f"PyTorch, {key.split('/')[-1]}", key, n) for key in theirs("sweep", case)),
        ]
        for how, key, times in rows:
            found = block.median(key)
            if found is None:
                table.append([case, how, MISSING, MISSING])
                continue
            took = times * units[key] * found
            ready = results["ready"][key]["seconds"]
            extra = ready["trace"] + ready["compile"] if "trace" in ready else ready["all"]
            table.append([case, how, f"{took:.2f}", f"{took + extra:.1f}"])
    return table


def tried(results: dict[str, Any]) -> Table:
    """Images a second of other forms of the same steps."""
    table = [["width, batch, numbers", "networks", "form", "images a second", "usual / this"]]
    for config, n, forms in TRIED:
        batch = int(config.split("-")[1][1:])
        block, usual = Block(results, f"tried/{config}/{n}"), ours("resnet", config, n)
        for form in ("", *forms):
            key = ours("resnet", config, n, form)
            how = form or "usual"
            cells = [rate(n * batch, block.median(key)), block.ratio(key, [usual])]
            table.append([config.replace("-", ", "), str(n), how, *cells])
    return table
