#!/usr/bin/env python3
"""Times training steps of saegrid and of libraries for sparse autoencoders in turn, in one run.

All train an autoencoder of the same sizes on four fixed batches of normal random numbers that are
in memory, with the same number of threads. Only what was timed in one run can be compared.

    python benches/libraries.py --methods batch-top-k --rounds 5

A library's step is that of its own trainer, as its users run it, with its own optimizer and its
other defaults:

- dictionary_learning: `update` of its trainer: Adam as PyTorch takes it on a CPU, clipping, the
  part of the gradient along decoder rows taken out, rows of norm 1, the threshold followed (steps
  are numbered from 1,001 on, where that begins), samples counted for each latent. The geometric
  median of the first step is not timed.
- SAELens: `step` of its trainer: Adam as PyTorch takes it on a CPU, values weighed by the norms of
  decoder rows, samples counted for each latent. Losses for dead latents come after 1,000 steps and
  are not there yet; so it is in dictionary_learning.
- Overcomplete: `train_sae`, silent (its default also computes statistics of each step), with the
  Adam of its README, clipping, a squared error, its default encoder with batch normalization.

Ours is `saegrid bench-step` on the same method: forward, loss, backward, Adam.

A library that is not installed is left out, and the script says so. What a library imports but no
training step calls, as models of language and of images or plots, need not be there: it imports a
stand-in.
"""

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import MagicMock

from peers import QUIET, Load, Method, Turn, program

BATCHES = 4

# Active latents of a sample.
K = 32

# Time before steps are timed, in s.
WARM_UP = 0.3


@dataclass(frozen=True)
class Size:
    """The sizes of an autoencoder and of its batches."""

    inputs: int
    latents: int
    batch: int

    @property
    def name(self) -> str:
        return f"{self.inputs}x{self.latents}x{self.batch}"

    @property
    def steps(self) -> int:
        """As many as are timed in some seconds."""
        return 40 if self.inputs * self.latents * self.batch < 1e9 else 10


SIZES = [Size(784, 2048, 256), Size(768, 6144, 1024)]


@dataclass(frozen=True)
class Ours:
    """A method as saegrid has it."""

    method: Method
    activation: str = "relu"
    # Times faster than each library that it has to be.
    target: float | None = None
    # Whether codes are held to K active latents, where no setting says how many there are.
    is_held: bool = False


OURS = {
    "top-k": Ours(Method("k-sparse", {"k": K})),
    "batch-top-k": Ours(Method("batch-top-k", {"k": K}), target=5.0),
    "jump-relu": Ours(Method("jump-relu", {"lambda": 0.1}), "identity", is_held=True),
    "gated": Ours(Method("gated", {"lambda": 0.1}), "identity", is_held=True),
}


# The libraries: each runs in a process of its own.

@dataclass(frozen=True)
class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds packages that are not installed: modules that have every name."""

    packages: tuple[str, ...]

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.packages:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module

    def exec_module(self, module):
        pass


def dictionary_learning(method: str, size: Size, batches: Iterator) -> None:
    names = {
        "top-k": ("top_k", "TopKTrainer"),
        "batch-top-k": ("batch_top_k", "BatchTopKTrainer"),
        "jump-relu": ("jumprelu", "JumpReluTrainer"),
        "gated": ("gdm", "GatedSAETrainer"),
    }
    module, name = names[method]
    trainers = importlib.import_module(f"dictionary_learning.trainers.{module}")
    more = {"k": K} if method.endswith("top-k") else {}
    trainer = getattr(trainers, name)(
        steps=1_000_000,
        activation_dim=size.inputs,
        dict_size=size.latents,
        layer=0,
        lm_name="none",
        device="cpu",
        **more,
    )
    trainer.update(0, next(batches))
    for number, x in enumerate(batches):
        trainer.update(1_001 + number, x)


def sae_lens(method: str, size: Size, batches: Iterator) -> None:
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    names = {
        "top-k": ("topk_sae", "TopKTrainingSAE"),
        "batch-top-k": ("batchtopk_sae", "BatchTopKTrainingSAE"),
        "jump-relu": ("jumprelu_sae", "JumpReLUTrainingSAE"),
        "gated": ("gated_sae", "GatedTrainingSAE"),
    }
    module, name = names[method]
    saes = importlib.import_module(f"sae_lens.saes.{module}")
    more = {"k": K} if method.endswith("top-k") else {}
    sizes = {"d_in": size.inputs, "d_sae": size.latents}
    config = getattr(saes, f"{name}Config")(**sizes, device="cpu", **more)
    samples = 1_000_000 * size.batch
    how = SAETrainerConfig(
        total_training_samples=samples,
        train_batch_size_samples=size.batch,
        # As its runner fills it in; a constant rate does not end there.
        lr_end=3e-5,
        device="cpu",
    )
    trainer = SAETrainer(how, getattr(saes, name)(config), batches)
    for x in batches:
        trainer.step(x)
        trainer.n_training_steps += 1


def overcomplete(method: str, size: Size, batches: Iterator) -> None:
    import torch
    from overcomplete.sae import BatchTopKSAE, TopKSAE, train_sae

    if method == "top-k":
        model = TopKSAE(size.inputs, size.latents, top_k=K)
    else:
        model = BatchTopKSAE(size.inputs, size.latents, top_k=K * size.batch)

    def criterion(x, x_hat, pre_codes, codes, dictionary):
        return (x - x_hat).square().mean()

    adam = torch.optim.Adam(model.parameters(), lr=5e-4)
    train_sae(model, batches, criterion, adam, nb_epochs=1, monitoring=0)


@dataclass(frozen=True)
class Library:
    """A library: the name of its package, how it trains on batches, which methods it has, and what
    it imports that training steps do not call."""

    package: str
    train: Callable[[str, Size, Iterator], None]
    methods: tuple[str, ...] = tuple(OURS)
    uncalled: tuple[str, ...] = ()


LIBRARIES = {
    "dictionary_learning": Library(
        "dictionary-learning", dictionary_learning, uncalled=("nnsight",)
    ),
    "sae_lens": Library("sae-lens", sae_lens),
    "overcomplete": Library(
        "overcomplete",
        overcomplete,
        ("top-k", "batch-top-k"),
        ("PIL", "cv2", "matplotlib", "skimage", "timm", "torchvision"),
    ),
}


def version(name: str) -> str | None:
    """The version of a library; `None` where it is not installed."""
    try:
        return importlib.metadata.version(LIBRARIES[name].package)
    except importlib.metadata.PackageNotFoundError:
        return None


def their_steps(name: str, method: str, size: Size, steps: int, threads: int) -> Turn:
    """The median of steps right after initialisation, in ms."""
    import torch

    if not any(isinstance(finder, StandIns) for finder in sys.meta_path):
        # Last: what is installed is taken.
        sys.meta_path.append(StandIns(LIBRARIES[name].uncalled))
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    inputs = [torch.randn(size.batch, size.inputs) for _ in range(BATCHES)]
    timed, load = [], None

    def batches():
        nonlocal load
        started, taken = time.perf_counter(), 0
        while taken < BATCHES or time.perf_counter() < started + WARM_UP:
            yield inputs[taken % BATCHES]
            taken += 1
        load = Load(resource.RUSAGE_SELF)
        for number in range(steps):
            before = time.perf_counter()
            yield inputs[number % BATCHES]
            timed.append((time.perf_counter() - before) * 1e3)

    LIBRARIES[name].train(method, size, batches())
    return Turn(statistics.median(timed), load.others(), {})


# saegrid


def our_steps(binary: Path, ours: Ours, size: Size, steps: int, threads: int) -> Turn:
    """The same of saegrid."""
    command = [binary, "bench-step", "--json", "--engine", "auto"]
    command += ["--input", size.inputs, "--latents", size.latents, "--batch", size.batch]
    command += ["--penalty", ours.method.toml(), "--activation", ours.activation]
    command += ["--threads", threads, "--steps", steps]
    if ours.is_held:
        command += ["--density", K / size.latents]
    load = Load(resource.RUSAGE_CHILDREN)
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if ended.returncode != 0:
        raise RuntimeError(ended.stderr.strip())
    said = json.loads(ended.stdout.splitlines()[-1])
    return Turn(said["ms_per_step_median"], load.others(), said)


# The table

HEADING = ["size", "method", "library", "ms", "steps a second", "ours is faster by", "to reach"]


def rounds_of(
    sides: dict[str, Callable[[], Turn]], rounds: int
) -> tuple[list[dict[str, Turn]], bool]:
    """Measures all sides by turns until there are so many quiet rounds, three times as many rounds
    at most. Gives the quiet ones if there are any, or else all, and whether they are quiet."""
    every, quiet = [], []
    while len(quiet) < rounds and len(every) < 3 * rounds:
        turns = {name: side() for name, side in sides.items()}
        every.append(turns)
        if max(turn.others for turn in turns.values()) < QUIET:
            quiet.append(turns)
        said = ", ".join(f"{name} {turn.time:.4g} ms" for name, turn in turns.items())
        others = max(turn.others for turn in turns.values())
        print(f"{said}; others took at most {others:.2f} cores", file=sys.stderr)
    return quiet or every, bool(quiet)


def works(name: str, side: Callable[[], Turn], method: str, size: Size) -> bool:
    """Whether a side can be timed; if not, why is said."""
    try:
        side()
    except Exception as error:
        print(f"{size.name} {method}: {name} is left out: {error!r}", file=sys.stderr)
        return False
    return True


def compare(method: str, size: Size, binary: Path, options: argparse.Namespace) -> list[list[str]]:
    """The rows of a method at a size."""
    steps, threads, ours = options.steps or size.steps, options.threads, OURS[method]
    names = [name for name in options.installed if method in LIBRARIES[name].methods]
    pools = {name: ProcessPoolExecutor(1, get_context("spawn")) for name in names}

    def of(name: str) -> Callable[[], Turn]:
        return lambda: pools[name].submit(their_steps, name, method, size, steps, threads).result()

    sides = {"saegrid": lambda: our_steps(binary, ours, size, steps, threads)}
    sides |= {name: of(name) for name in names}
    try:
        sides = {name: side for name, side in sides.items() if works(name, side, method, size)}
        rounds, quiet = rounds_of(sides, options.rounds) if sides else ([], True)
    finally:
        for pool in pools.values():
            pool.shutdown()
    rows = []
    for name in sides:
        taken = statistics.median(turns[name].time for turns in rounds)
        faster, target = "", ""
        if name != "saegrid" and "saegrid" in sides:
            # Rounds are compared with themselves: machines differ from minute to minute.
            ratio = statistics.median(turns[name].time / turns["saegrid"].time for turns in rounds)
            faster = f"**{ratio:.2f}**" + ("" if quiet else " !")
            target = "" if ours.target is None else f"{ours.target:g}"
        rows.append([size.name, method, name, f"{taken:.3g}", f"{1e3 / taken:.3g}", faster, target])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    methods, libraries = list(OURS), list(LIBRARIES)
    known = {"nargs": "+", "choices": methods, "default": ["batch-top-k"]}
    add("--methods", **known, help="what to time (batch-top-k)")
    add("--libraries", nargs="+", choices=libraries, default=libraries, help="beside whom (all)")
    add("--sizes", nargs="+", choices=[size.name for size in SIZES], help="only these")
    add("--rounds", type=int, default=5, help="quiet rounds (5), of at most thrice as many")
    add("--steps", type=int, help="timed steps a round (10 or 40, by size)")
    add("--threads", type=int, default=2, help="threads of all (2)")
    add("--binary", type=Path, help="the program, in place of the one that cargo builds")
    options = parser.parse_args()
    binary = program(options.binary)
    versions = {name: version(name) for name in options.libraries}
    options.installed = [name for name, known in versions.items() if known is not None]
    for name, found in versions.items():
        print(f"{name}: " + (found or "not installed, left out"), file=sys.stderr)
    print("| " + " | ".join(HEADING) + " |")
    print("|---" * len(HEADING) + "|")
    for size in SIZES:
        if options.sizes and size.name not in options.sizes:
            continue
        for method in options.methods:
            for row in compare(method, size, binary, options):
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
