"""Autoencoders of several layers in plain PyTorch, as a good user of it writes them.

PyTorch is imported by whoever builds one, in a process of its own: starting it takes seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stack:
    """An architecture beside `dense`, as saegrid's settings, and its size."""

    kind: str
    settings: dict
    # Multiplications of a sample's way through all layers, and of its way through the first.
    products: int
    first: int
    # Numbers that are learnt.
    parameters: int

    def toml(self) -> list[str]:
        """Settings for `--set`."""
        pairs = {"kind": f'"{self.kind}"', **self.settings}
        return [f"architecture.{key}={value}" for key, value in pairs.items()]

    def model(self, inputs: int, latents: int):
        """A module that gives, for a batch, the reconstructions and the loss's other terms."""
        return BUILD[self.kind](inputs, latents, self.settings)


def dense_stack(kind: str, inputs: int, hidden: list[int], latents: int, heads: int = 1) -> Stack:
    """Dense layers to the code, which `heads` maps make, and back."""
    widths = [inputs, *hidden, latents]
    sizes = [a * b for a, b in zip(widths, widths[1:])]
    products = 2 * sum(sizes) + (heads - 1) * sizes[-1]
    return Stack(kind, {"hidden": hidden}, products, sizes[0], products)


def convolutional_stack(side: int, channels: list[int], latents: int) -> Stack:
    """Convolutions with kernels of 3 and strides of 2, then a dense layer, and back."""
    before, sizes, kernels = 1, [], 0
    for after in channels:
        side = -(-side // 2)
        sizes.append(before * after * 9 * side * side)
        kernels += before * after * 9
        before = after
    dense = before * side * side * latents
    products = 2 * (sum(sizes) + dense)
    settings = {"channels": channels}
    return Stack("convolutional", settings, products, sizes[0], 2 * (kernels + dense))


def deep(inputs: int, latents: int, settings: dict):
    import torch.nn as nn

    widths = [inputs, *settings["hidden"], latents]

    def layers(widths: list[int]) -> nn.Sequential:
        modules = []
        for a, b in zip(widths, widths[1:]):
            modules += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*modules[:-1])

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = layers(widths), layers(widths[::-1])

        def forward(self, x):
            return self.decoder(self.encoder(x)), 0.0

    return Deep()


def variational(inputs: int, latents: int, settings: dict):
    import torch
    import torch.nn as nn

    (hidden,) = settings["hidden"]

    class Variational(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU())
            self.mean = nn.Linear(hidden, latents)
            self.log_variance = nn.Linear(hidden, latents)
            self.decoder = nn.Sequential(
                nn.Linear(latents, hidden), nn.ReLU(), nn.Linear(hidden, inputs)
            )

        def forward(self, x):
            h = self.encoder(x)
            mean, s = self.mean(h), self.log_variance(h).clamp(-20, 20)
            code = mean + (0.5 * s).exp() * torch.randn_like(s)
            prior = -0.5 * (1 + s - mean.square() - s.exp()).sum() / x.shape[0]
            return self.decoder(code), prior

    return Variational()


def convolutional(inputs: int, latents: int, settings: dict):
    import torch.nn as nn

    side = int(inputs**0.5)
    channels = [1, *settings["channels"]]
    sides = [side]
    for _ in channels[1:]:
        sides.append(-(-sides[-1] // 2))
    flat = channels[-1] * sides[-1] ** 2

    class Convolutional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            down, up = [], []
            for a, b, fine, coarse in zip(channels, channels[1:], sides, sides[1:]):
                down += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU()]
                more = fine - (2 * coarse - 1)
                up = [
                    nn.ReLU(),
                    nn.ConvTranspose2d(b, a, 3, stride=2, padding=1, output_padding=more),
                    *up,
                ]
            self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, latents))
            self.decoder = nn.Sequential(
                nn.Linear(latents, flat),
                nn.Unflatten(1, (channels[-1], sides[-1], sides[-1])),
                *up,
                nn.Flatten(),
            )

        def forward(self, x):
            return self.decoder(self.encoder(x.unflatten(1, (1, side, side)))), 0.0

    return Convolutional()


BUILD = {"deep": deep, "variational": variational, "convolutional": convolutional}
