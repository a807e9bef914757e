#!/usr/bin/env python3
"""Times training steps of saegrid and of plain PyTorch in turn, in one run.

Both take whole steps (forward, loss, backward, Adam) of the same autoencoder on four fixed batches
of normal random numbers that are in memory, with the same number of threads. Only what was timed in
one run can be compared: machines differ, and so does one machine from hour to hour.

    python benches/against_torch.py --rows 784x2048 k-sparse --rounds 7

needs PyTorch, and builds the program that `cargo run` would run. The PyTorch side (peers.py) is
what a good user of it writes: its fused Adam, topk and scatter, no copies that are not needed. It
has glibc's memory allocator as that comes; with MALLOC_MMAP_MAX_=0 and
MALLOC_TRIM_THRESHOLD_=17179869184 in the environment of this script it has what saegrid's workers
have.

Other work on the machine spoils a comparison, and PyTorch's side most: its threads wait for each
other several times a step. A round in which other processes took more than a sixth of a core is
taken again; a row for which there was no quiet time is marked with `!` and says nothing.

The floors: `products` is the encoder's product as torch.mm takes it, and at the same rate the share
of the other four products that the density leaves; of several layers, all their products at the rate
of one of 784 x 512; `memory` is 28 bytes a parameter (weights,
gradients and moments read, weights and moments written) at the bandwidth of a triad over as much
memory.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from peers import Load, Method, Turn, in_turn, layers, program
from stacks import Stack, convolutional_stack, dense_stack

BATCHES = 4

# Columns of the product whose rate layers are held to.
RATE_AT = 512


@dataclass(frozen=True)
class Row:
    """A step that is timed, and how many times faster than PyTorch it has to be."""

    inputs: int
    latents: int
    batch: int
    method: Method
    target: float
    density: float | None = None
    precision: str = "f32"
    stack: Stack | None = None

    @property
    def size(self) -> str:
        return f"{self.inputs}x{self.latents}x{self.batch}"

    @property
    def name(self) -> str:
        words = [] if self.stack is None else [self.stack.kind]
        words.append(self.method.kind)
        if "k" in self.method.settings:
            words.append(f"k={self.method.settings['k']}")
        if self.density is not None:
            words.append(f"at {self.density:.0%}")
        if self.precision != "f32":
            words.append(self.precision)
        return " ".join(words)

    @property
    def steps(self) -> int:
        """As many as are timed in a few seconds at most."""
        work = self.inputs * self.latents * self.batch
        return 200 if work < 1e7 else 40 if work < 1e9 else 15


NONE = Method("none")
L1 = Method("l1", {"lambda": 0.1})
KL = Method("kl", {"rho": 0.05, "beta": 0.1})
TOP_25, TOP_32 = Method("k-sparse", {"k": 25}), Method("k-sparse", {"k": 32})
GROUPS = Method("group-lasso", {"lambda": 0.1, "group_size": 8})

ROWS = [
    *(Row(64, 256, 256, method, 4.0) for method in (NONE, L1, KL, TOP_32, GROUPS)),
    Row(784, 1000, 128, TOP_25, 3.0),
    Row(784, 2048, 256, TOP_32, 3.0),
    Row(784, 2048, 256, L1, 2.3, density=0.05),
    Row(784, 2048, 256, L1, 1.15, density=0.5),
    Row(784, 2048, 256, KL, 1.15),
    Row(784, 2048, 256, GROUPS, 1.6, density=0.1),
    Row(768, 6144, 1024, TOP_32, 4.5),
    Row(768, 24576, 1024, TOP_32, 5.5),
    Row(768, 6144, 1024, TOP_32, 3.0, precision="bf16"),
    Row(768, 24576, 1024, TOP_32, 4.0, precision="bf16"),
    Row(784, 32, 256, NONE, 1.15, stack=dense_stack("deep", 784, [512, 128], 32)),
    Row(784, 20, 128, NONE, 1.5, stack=dense_stack("variational", 784, [400], 20, heads=2)),
    Row(784, 64, 128, NONE, 1.0, stack=convolutional_stack(28, [16, 32], 64)),
]


# PyTorch: this runs in a process of its own, one a row.


def torch_steps(row: Row, steps: int, threads: int) -> Turn:
    """The median of steps right after initialisation, in ms."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if row.stack is None:
        encoder, decoder = layers(row.inputs, row.latents)
        parameters = [*encoder.parameters(), *decoder.parameters()]
    else:
        model = row.stack.model(row.inputs, row.latents)
        parameters = list(model.parameters())
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    batches = [torch.randn(row.batch, row.inputs) for _ in range(BATCHES)]

    def step(x: torch.Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=row.precision == "bf16"):
            if row.stack is None:
                code = row.method.code(encoder(x))
                loss = row.method.loss(code, decoder(code), x)
            else:
                x_hat, terms = model(x)
                loss = row.method.loss(None, x_hat, x) + terms
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    load = Load(resource.RUSAGE_SELF)
    spent, taken, timed = 0.0, 0, []
    while len(timed) < steps:
        started = time.perf_counter()
        step(batches[taken % BATCHES])
        elapsed = time.perf_counter() - started
        if taken >= BATCHES and spent >= 0.1:
            timed.append(elapsed * 1e3)
        spent, taken = spent + elapsed, taken + 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Turn(statistics.median(timed), load.others(), {"peak_rss_mib": peak})


def limits(row: Row, threads: int) -> tuple[float, float]:
    """ms of the encoder's product, and of the memory that Adam reads and writes."""
    import torch

    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if row.precision == "bf16" else torch.float32
    x = torch.randn(row.batch, row.inputs, dtype=dtype)
    # The product whose rate others are held to: the encoder's, or one of the size that layers have.
    columns = row.latents if row.stack is None else RATE_AT
    weights = torch.randn(row.inputs, columns, dtype=dtype)
    out = torch.empty(row.batch, columns, dtype=dtype)
    product = fast(lambda: torch.mm(x, weights, out=out))

    parameters = 2 * row.inputs * row.latents
    if row.stack is not None:
        parameters = row.stack.parameters
    a, b, c = (torch.ones(parameters * 4 // 3) for _ in range(3))
    triad = fast(lambda: torch.add(b, c, alpha=0.5, out=a))
    return product, triad * 28 * parameters / (12 * a.numel())


def fast(work) -> float:
    """The median of the faster half of many calls, in ms: a limit is what is possible."""
    times, until = [], time.perf_counter() + 0.3
    while len(times) < 8 or time.perf_counter() < until:
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(sorted(times)[: len(times) // 2])


# saegrid


def our_steps(binary: Path, row: Row, steps: int, threads: int, engine: str) -> Turn:
    """The same of saegrid."""
    command = [binary, "bench-step", "--json", "--engine", engine]
    command += ["--input", row.inputs, "--latents", row.latents, "--batch", row.batch]
    command += ["--penalty", row.method.toml()]
    if row.stack is None:
        command += ["--activation", row.method.activation]
    if row.stack is not None:
        command += [word for pair in row.stack.toml() for word in ("--set", pair)]
    command += ["--precision", row.precision, "--threads", threads, "--steps", steps]
    if row.density is not None:
        command += ["--density", row.density]
    load = Load(resource.RUSAGE_CHILDREN)
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if ended.returncode != 0:
        raise RuntimeError(ended.stderr.strip())
    said = json.loads(ended.stdout.splitlines()[-1])
    return Turn(said["ms_per_step_median"], load.others(), said)


# The table

HEADING = [
    "size",
    "method",
    "engine",
    "density",
    "ours, ms",
    "PyTorch, ms",
    "ratio",
    "median ratio of rounds",
    "to reach",
    "floor by products, ms",
    "floor by memory, ms",
    "ours, MiB",
    "PyTorch, MiB",
]


def compare(row: Row, binary: Path, options: argparse.Namespace) -> list[str]:
    steps, threads = options.steps or row.steps, options.threads
    with ProcessPoolExecutor(1, get_context("spawn")) as pytorch:
        rounds, quiet = in_turn(
            f"{row.size} {row.name}",
            options.rounds,
            lambda: our_steps(binary, row, steps, threads, options.engine),
            lambda: pytorch.submit(torch_steps, row, steps, threads).result(),
        )
        # Last, so that its memory is not in PyTorch's peak.
        product, memory = pytorch.submit(limits, row, threads).result()
    ours, theirs = zip(*rounds)
    our, their = (statistics.median(turn.time for turn in side) for side in (ours, theirs))
    of_rounds = statistics.median(their.time / our.time for our, their in rounds)
    # Codes that are never 0 are dense, however many of them count as active.
    dense = row.method.activation == "sigmoid"
    density = 1.0 if dense else statistics.median(turn.said["density"] for turn in ours)
    if row.stack is None:
        floor = f"{product * (1 + 4 * density):.3g}, the encoder {product:.3g}"
    else:
        # Forward, by parameters, and by what each layer but the first maps.
        whole = 3 * row.stack.products - row.stack.first
        floor = f"{product * whole / (row.inputs * RATE_AT):.3g}"
    peaks = [max(turn.said["peak_rss_mib"] for turn in side) for side in (ours, theirs)]
    return [
        row.size,
        row.name,
        ours[0].said["engine"],
        "dense" if dense else f"{density:.2%}",
        f"{our:.3g}",
        f"{their:.3g}",
        f"**{their / our:.2f}**" + ("" if quiet else " !"),
        f"{of_rounds:.2f}",
        f"{row.target:g}",
        floor,
        f"{memory:.3g}",
        f"{peaks[0]:.0f}",
        f"{peaks[1]:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", nargs="+", metavar="WORD", default=[], help="only rows that have every word")
    add("--rounds", type=int, default=5, help="quiet rounds (5), of at most thrice as many")
    add("--steps", type=int, help="timed steps a round (15 to 200, by size)")
    add("--threads", type=int, default=2, help="threads of both (2)")
    add("--engine", default="auto", help="saegrid's engine (auto)")
    add("--binary", type=Path, help="the program, in place of the one that cargo builds")
    options = parser.parse_args()
    rows = [row for row in ROWS if all(word in f"{row.size} {row.name}" for word in options.rows)]
    if not rows:
        sys.exit("no row has all of: " + " ".join(options.rows))
    binary = program(options.binary)

    print("| " + " | ".join(HEADING) + " |")
    print("|---" * len(HEADING) + "|")
    failed = False
    for row in rows:
        try:
            print("| " + " | ".join(compare(row, binary, options)) + " |", flush=True)
        except RuntimeError as error:
            failed = True
            print(f"{row.size} {row.name}: {error}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
