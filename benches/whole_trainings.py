#!/usr/bin/env python3
"""Times whole trainings of saegrid and of plain PyTorch in turn, in one run.

Each side is a process from its start to its end. saegrid is run as a user runs it and writes all
its results; PyTorch is a plain loop over data in memory. Both evaluate as often, and the errors
that both reach stand beside the times.

- mnist: 784-1000-784, batch 128, 30 epochs, one training with all threads. `--images` is the IDX
  file of 10,000 images, of which the first 8,000 train and the last 2,000 test.
- sweep: 12 runs (4 penalties, 3 seeds) of 64-256-64, batch 128, 50 epochs on the digits that are
  embedded in saegrid, against one process that trains one model after the other, with the usual
  DataLoader or without (`loop`, `bare loop`), and against all 12 models as one (`stacked`).

    python benches/whole_trainings.py --images t10k-images-idx3-ubyte.gz --rounds 3

needs PyTorch, and builds the program that `cargo run` would run. What against_torch.py says about
other work on the machine holds here too.
"""

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from peers import ROOT, Load, Method, Turn, in_turn, layers, program

BATCH = 128
DIGITS = ROOT / "plugins/data/digits.csv.gz"


@dataclass(frozen=True)
class Row:
    """Trainings of one kind, and how many times sooner than PyTorch's they have to end."""

    data: str
    methods: tuple[Method, ...]
    seeds: int
    latents: int
    epochs: int
    mode: str
    target: float | None

    @property
    def name(self) -> str:
        what = self.methods[0].kind if len(self.methods) == 1 else "sweep"
        return f"{self.data} {what}, {self.mode}"

    @property
    def threads(self) -> int:
        """PyTorch's; what pays was measured: small models are fastest with one."""
        return 1 if "loop" in self.mode and self.data == "digits" else CORES

    def experiment(self, images: Path | None, every: int) -> str:
        dataset = {
            "digits": 'kind = "digits"',
            "mnist": f'kind = "idx"\nimages = "{images}"\ntrain = 8000\ntest = 2000',
        }[self.data]
        penalties = ", ".join(method.toml() for method in self.methods)
        activations = ", ".join(f'"{method.activation}"' for method in self.methods)
        return f"""name = "bench"
seeds = {list(range(self.seeds))}
[dataset]
{dataset}
[architecture]
kind = "dense"
latents = {self.latents}
[train]
epochs = {self.epochs}
batch = {BATCH}
[evaluate]
every = {every}
[[grid.zip]]
penalty = [{penalties}]
"architecture.activation" = [{activations}]
"""


CORES = len(os.sched_getaffinity(0))
KL = Method("kl", {"rho": 0.05, "beta": 0.1})
SWEEP = (
    Method("k-sparse", {"k": 10}),
    Method("l1", {"lambda": 0.1}),
    KL,
    Method("group-lasso", {"lambda": 0.1, "group_size": 8}),
)
ROWS = [
    Row("mnist", (Method("k-sparse", {"k": 25}),), 1, 1000, 30, "bare loop", 3.0),
    Row("mnist", (Method("l1", {"lambda": 0.3}),), 1, 1000, 30, "bare loop", 2.0),
    Row("mnist", (KL,), 1, 1000, 30, "bare loop", 1.15),
    Row("digits", SWEEP, 3, 256, 50, "loop", 12.0),
    Row("digits", SWEEP, 3, 256, 50, "bare loop", None),
    Row("digits", SWEEP, 3, 256, 50, "stacked", 6.0),
]


# PyTorch: this runs in a process of its own, started for each training or sweep.


def torch_main(row: Row, images: str, every: int) -> None:
    """Trains all models of a row and prints their last measurements."""
    import torch

    torch.set_num_threads(row.threads)
    started = time.perf_counter()
    train, test = read_digits() if row.data == "digits" else read_mnist(images)
    if row.mode == "stacked":
        measured = train_stacked(row, train, test, every)
    else:
        train_one = {"loop": train_with_loader, "bare loop": train_bare}[row.mode]
        measured = [
            train_one(row, method, seed, train, test, every)
            for method in row.methods
            for seed in range(row.seeds)
        ]
    print(json.dumps({"training": time.perf_counter() - started, "measured": measured}))


def read_digits():
    import torch

    lines = gzip.decompress(DIGITS.read_bytes()).decode().split()
    pixels = torch.tensor([[int(word) for word in line.split(",")[:64]] for line in lines]) / 16
    return pixels[:1437], pixels[1437:]


def read_mnist(path: str):
    import torch

    data = Path(path).read_bytes()
    data = gzip.decompress(data) if path.endswith(".gz") else data
    images = torch.frombuffer(bytearray(data[16:]), dtype=torch.uint8).view(-1, 784) / 255
    return images[:8000], images[-2000:]


def measure(method: Method, code, x_hat, x) -> tuple[float, float]:
    """Mean squared error an element, and active latents a sample."""
    threshold = 0.5 if method.activation == "sigmoid" else 0.0
    error = (x_hat - x).square().mean().item()
    return error, (code > threshold).sum().item() / len(x)


def train_bare(row: Row, method: Method, seed: int, train, test, every: int) -> tuple[float, float]:
    """Batches by index, no number read in a step, fused Adam."""
    import torch

    torch.manual_seed(seed)
    encoder, decoder = layers(train.shape[1], row.latents)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    for epoch in range(1, row.epochs + 1):
        for rows in torch.randperm(len(train)).split(BATCH):
            x = train[rows]
            code = method.code(encoder(x))
            loss = method.loss(code, decoder(code), x)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
        if epoch % every == 0 or epoch == row.epochs:
            with torch.no_grad():
                code = method.code(encoder(test))
                measured = measure(method, code, decoder(code), test)
    return measured


def train_with_loader(
    row: Row, method: Method, seed: int, train, test, every: int
) -> tuple[float, float]:
    """As tutorials have it: DataLoader, default Adam, the loss read in each step."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(seed)
    loader = DataLoader(TensorDataset(train), batch_size=BATCH, shuffle=True)
    encoder, decoder = layers(train.shape[1], row.latents)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    for epoch in range(1, row.epochs + 1):
        total = 0.0
        for (x,) in loader:
            code = method.code(encoder(x))
            loss = method.loss(code, decoder(code), x)
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item() * len(x)
        if epoch % every == 0 or epoch == row.epochs:
            with torch.no_grad():
                code = method.code(encoder(test))
                measured = measure(method, code, decoder(code), test)
    return measured


def train_stacked(row: Row, train, test, every: int) -> list[tuple[float, float]]:
    """All models as one, with stacked parameters and products; each sees its own order."""
    import torch

    methods = [method for method in row.methods for _ in range(row.seeds)]
    models = []
    for seed in range(len(methods)):
        torch.manual_seed(seed)
        models.append(layers(train.shape[1], row.latents))

    def stack(tensors):
        return torch.stack(list(tensors)).detach().requires_grad_()

    w_enc = stack(encoder.weight.T for encoder, _ in models)
    b_enc = stack(encoder.bias[None] for encoder, _ in models)
    w_dec = stack(decoder.weight.T for _, decoder in models)
    b_dec = stack(decoder.bias[None] for _, decoder in models)
    adam = torch.optim.Adam([w_enc, b_enc, w_dec, b_dec], lr=1e-3, fused=True)

    def forward(x):
        pre_code = torch.baddbmm(b_enc, x, w_enc).split(row.seeds)
        codes = [method.code(part) for method, part in zip(row.methods, pre_code)]
        return codes, torch.baddbmm(b_dec, torch.cat(codes), w_dec)

    for epoch in range(1, row.epochs + 1):
        orders = torch.stack([torch.randperm(len(train)) for _ in methods])
        for rows in orders.split(BATCH, dim=1):
            x = train[rows]
            codes, x_hat = forward(x)
            parts = zip(row.methods, codes, x_hat.split(row.seeds), x.split(row.seeds))
            loss = sum(method.loss(*part) for method, *part in parts)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
        if epoch % every == 0 or epoch == row.epochs:
            with torch.no_grad():
                codes, x_hat = forward(test.expand(len(methods), -1, -1))
                each = zip(methods, torch.cat(codes), x_hat)
                measured = [measure(*model, test) for model in each]
    return measured


# Both sides as processes


def run(command: list) -> tuple[float, float, str]:
    """Wall time in s, the cores that others used, and standard output."""
    load, started = Load(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    seconds, others = time.perf_counter() - started, load.others()
    if ended.returncode != 0:
        sys.exit(f"{ended.stderr}\nexit code {ended.returncode}")
    return seconds, others, ended.stdout


def our_turn(binary: Path, row: Row, options: argparse.Namespace) -> Turn:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.toml"
        file.write_text(row.experiment(options.images, options.every))
        command = [binary, file, "--output-dir", folder, "--json", "--progress", "none"]
        for setting in options.set:
            command += ["--set", setting]
        seconds, others, out = run(command)
    runs = json.loads(out)["runs"]
    return Turn(seconds, others, {"measured": [(run["test_mse"], run["test_l0"]) for run in runs]})


def torch_turn(row: Row, options: argparse.Namespace) -> Turn:
    which = str(ROWS.index(row))
    command = [sys.executable, __file__, TORCH, which, options.images or "", options.every]
    seconds, others, out = run(command)
    return Turn(seconds, others, json.loads(out))


TORCH = "--torch"
HEADING = [
    "what",
    "PyTorch's threads",
    "ours, s",
    "PyTorch, s",
    "ratio",
    "median ratio of rounds",
    "to reach",
    "PyTorch without its start, s",
    "ratio",
    "our MSE, L0",
    "PyTorch's",
]


def means(turn: Turn) -> str:
    """Means over the models, to see that both sides learnt the same."""
    errors, active = zip(*turn.said["measured"])
    return f"{statistics.mean(errors):.5f}, {statistics.mean(active):.1f}"


def compare(row: Row, binary: Path, options: argparse.Namespace) -> list[str]:
    rounds, quiet = in_turn(
        row.name,
        options.rounds,
        lambda: our_turn(binary, row, options),
        lambda: torch_turn(row, options),
    )
    ours, theirs = zip(*rounds)
    our, their = (statistics.median(turn.time for turn in side) for side in (ours, theirs))
    training = statistics.median(turn.said["training"] for turn in theirs)
    return [
        row.name,
        str(row.threads),
        f"{our:.3g}",
        f"{their:.3g}",
        f"**{their / our:.2f}**" + ("" if quiet else " !"),
        f"{statistics.median(their.time / our.time for our, their in rounds):.2f}",
        "" if row.target is None else f"{row.target:g}",
        f"{training:.3g}",
        f"{training / our:.2f}",
        means(ours[0]),
        means(theirs[0]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, help="MNIST's IDX file of 10,000 images; without it no mnist rows")
    add("--rows", nargs="+", metavar="WORD", default=[], help="only rows that have every word")
    add("--rounds", type=int, default=3, help="quiet rounds (3), of at most thrice as many")
    add("--every", type=int, default=1, help="epochs between evaluations, on both sides (1)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of saegrid")
    add("--binary", type=Path, help="the program, in place of the one that cargo builds")
    options = parser.parse_args()
    if options.images is not None:
        options.images = options.images.resolve()
    rows = [row for row in ROWS if all(word in row.name for word in options.rows)]
    rows = [row for row in rows if row.data != "mnist" or options.images is not None]
    if not rows:
        sys.exit("no row has all of: " + " ".join(options.rows))
    binary = program(options.binary)

    print("| " + " | ".join(HEADING) + " |")
    print("|---" * len(HEADING) + "|")
    for row in rows:
        print("| " + " | ".join(compare(row, binary, options)) + " |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [TORCH]:
        which, images, every = sys.argv[2:]
        torch_main(ROWS[int(which)], images, int(every))
    else:
        main()
