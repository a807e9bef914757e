"""The Pareto plot of an experiment: error against active latents, means over seeds, by method.

The error is that of what L0 counts: where codes are never exactly 0 (KL), the others are set to 0.

    python examples/pareto.py results/methods [pareto.svg]

It needs polars, and matplotlib for the picture.
"""

import sys
from pathlib import Path

import polars as pl

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/methods")
METRIC = "test_mse_thresholded"
runs = pl.read_parquet(folder / "runs.parquet").filter(pl.col("status") == "done")

# Runs that differ in nothing but the seed are one setting.
sections = ("dataset", "architecture", "penalty", "train")
settings = [c for c in runs.columns if c.startswith(sections) and not c.startswith("train_loss")]
points = (
    runs.group_by(settings)
    .agg(pl.col("test_l0", METRIC).mean(), pl.len().alias("seeds"))
    .sort("penalty", "test_l0", METRIC)
)
# Sorted by L0: what has no smaller error than all before it is beaten by one of them.
before = pl.col(METRIC).cum_min().shift(1).over("penalty")
front = points.filter(before.is_null() | (pl.col(METRIC) < before))
for method, l0, mse, seeds in front.select("penalty", "test_l0", METRIC, "seeds").iter_rows():
    print(f"{method}: {METRIC} {mse:.6f} at L0 {l0:.2f} ({seeds} seeds)")

if len(sys.argv) > 2:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for (method,), of in front.group_by("penalty", maintain_order=True):
        plt.plot(of["test_l0"], of[METRIC], marker="o", label=method)
    plt.xlabel("active latents (L0)")
    plt.ylabel("mean squared error")
    plt.yscale("log")
    plt.legend()
    plt.savefig(sys.argv[2], bbox_inches="tight")
