"""What the scripts of this folder share: the methods, as saegrid's settings and in plain PyTorch,
the program, and how busy the machine is.

PyTorch is imported by whoever uses it, in a process of its own: starting it takes seconds.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# A turn is quiet if other processes take less than this of a core.
QUIET = 0.16


@dataclass(frozen=True)
class Method:
    """A way of making codes sparse."""

    kind: str
    settings: dict[str, float] = field(default_factory=dict)

    @property
    def activation(self) -> str:
        return "sigmoid" if self.kind == "kl" else "relu"

    def toml(self) -> str:
        pairs = [f'kind = "{self.kind}"']
        pairs += [f"{key} = {value}" for key, value in self.settings.items()]
        return "{ " + ", ".join(pairs) + " }"

    def code(self, pre_code):
        """The code, [..., batch, latents]."""
        if self.activation == "sigmoid":
            return pre_code.sigmoid()
        if self.kind != "k-sparse":
            return pre_code.relu()
        values, indices = pre_code.topk(self.settings["k"], sorted=False)
        return pre_code.new_zeros(pre_code.shape).scatter(-1, indices, values.relu())

    def loss(self, code, x_hat, x):
        """The loss of a batch; of several models, [models, batch, ...], the sum of theirs."""
        from torch.nn.functional import mse_loss

        loss = mse_loss(x_hat.float(), x, reduction="sum") / x.shape[-2]
        penalty = PENALTIES.get(self.kind)
        return loss if penalty is None else loss + penalty(self.settings, code)


def l1(settings, code):
    # The code is not negative: its sum is its norm.
    return settings["lambda"] / code.shape[-2] * code.sum()


def kl(settings, code):
    rho = settings["rho"]
    rate = code.mean(-2).clamp(1e-6, 1 - 1e-6)
    divergence = rho * (rho / rate).log() + (1 - rho) * ((1 - rho) / (1 - rate)).log()
    return settings["beta"] * divergence.sum()


def group_lasso(settings, code):
    groups = code.unflatten(-1, (-1, settings["group_size"]))
    norms = (groups.square().sum(-1) + 1e-8).sqrt()
    return settings["lambda"] / code.shape[-2] * norms.sum()


PENALTIES = {"l1": l1, "kl": kl, "group-lasso": group_lasso}


def layers(inputs: int, latents: int):
    """Encoder and decoder, initialised as saegrid does."""
    import torch

    encoder, decoder = torch.nn.Linear(inputs, latents), torch.nn.Linear(latents, inputs)
    with torch.no_grad():
        torch.nn.init.xavier_uniform_(encoder.weight)
        decoder.weight.copy_(encoder.weight.T)
        encoder.bias.zero_()
        decoder.bias.zero_()
    return encoder, decoder


def program(binary: Path | None) -> Path:
    """The program as `cargo run` would run it, unless another is named."""
    if binary is not None:
        return binary.resolve()
    command = ["cargo", "build", "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "saegrid":
            return Path(message["executable"])
    sys.exit("cargo built no program `saegrid`")


@dataclass(frozen=True)
class Turn:
    """One measurement of one side: its time, the cores that others used, and what else it said."""

    time: float
    others: float
    said: dict


def in_turn(
    name: str, rounds: int, ours: Callable[[], Turn], theirs: Callable[[], Turn]
) -> tuple[list[tuple[Turn, Turn]], bool]:
    """Measures both sides by turns until there are so many quiet rounds, three times as many rounds
    at most. Gives the quiet ones if there are any, or else all, and whether they are quiet."""
    every, quiet = [], []
    while len(quiet) < rounds and len(every) < 3 * rounds:
        our, their = ours(), theirs()
        every.append((our, their))
        if max(our.others, their.others) < QUIET:
            quiet.append((our, their))
        print(
            f"{name}: ours {our.time:.4g}, PyTorch {their.time:.4g}; "
            f"others took {our.others:.2f} and {their.others:.2f} cores",
            file=sys.stderr,
        )
    return quiet or every, bool(quiet)


class Load:
    """How many cores other processes use from now on, where the system tells."""

    def __init__(self, who: int) -> None:
        self.who = who
        self.start = self.now()

    def now(self) -> tuple[float, float, float]:
        usage = resource.getrusage(self.who)
        try:
            words = Path("/proc/stat").read_text().split()
            # user, nice, system; irq, softirq, steal
            ticks = sum(int(words[at]) for at in (1, 2, 3, 6, 7, 8))
        except OSError:
            ticks = 0
        busy = ticks / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, usage.ru_utime + usage.ru_stime

    def others(self) -> float:
        wall, busy, own = (now - start for now, start in zip(self.now(), self.start))
        return max(0.0, (busy - own) / wall)
