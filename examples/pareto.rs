//! The Pareto points of each method: the settings that no other of the same method beats in both the
//! error and the number of active latents, means over seeds. The error is that of what L0 counts: where
//! codes are never exactly 0 (KL), the others are set to 0.
//!
//!     cargo run --features lazy --example pareto -- results/methods

use polars::prelude::*;

const METRIC: &str = "test_mse_thresholded";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or("results/methods".to_owned());
    let results = saegrid::results::load(dir)?;
    // Runs that differ in nothing but the seed are one setting.
    let names = results.runs.clone().collect_schema()?;
    let is_setting = |name: &str| {
        ["dataset", "architecture", "penalty", "train"].iter().any(|s| name.starts_with(s))
            && !name.starts_with("train_loss")
    };
    let settings: Vec<Expr> =
        names.iter_names().filter(|name| is_setting(name)).map(|name| col(name.clone())).collect();
    let points = results
        .runs
        .filter(col("status").eq(lit("done")))
        .group_by(settings)
        .agg([col("test_l0").mean(), col(METRIC).mean(), len().alias("seeds")])
        .sort(["penalty", "test_l0", METRIC], SortMultipleOptions::default())
        .select([col("penalty"), col("test_l0"), col(METRIC), col("seeds")])
        .collect()?;
    let (methods, seeds) = (points.column("penalty")?.str()?, points.column("seeds")?.u32()?);
    let (l0, mse) = (points.column("test_l0")?.f64()?, points.column(METRIC)?.f64()?);
    let (mut method, mut best) = (None, f64::INFINITY);
    for row in 0..points.height() {
        if methods.get(row) != method {
            (method, best) = (methods.get(row), f64::INFINITY);
        }
        // Sorted by L0: what has no smaller error than all before it is beaten by one of them.
        if let (Some(name), Some(l0), Some(mse), Some(seeds)) =
            (method, l0.get(row), mse.get(row), seeds.get(row))
            && mse < best
        {
            best = mse;
            println!("{name}: {METRIC} {mse:.6} at L0 {l0:.2} ({seeds} seeds)");
        }
    }
    Ok(())
}
