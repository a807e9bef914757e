//! Reads the results of an experiment with polars: the mean error and L0 of each setting.
//!
//!     cargo run --example read_results -- results/kl_sweep/runs.parquet

use std::fs::File;

use polars::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("results/kl_sweep/runs.parquet".to_owned());
    let runs = ParquetReader::new(File::open(path)?).finish()?;
    let done = runs.filter(&runs.column("status")?.str()?.equal("done"))?;
    let best = done.sort(["test_mse"], SortMultipleOptions::default())?;
    println!("{} of {} runs are done", done.height(), runs.height());
    for row in 0..best.height().min(5) {
        let number = |name: &str| best.column(name).and_then(|column| column.get(row));
        println!(
            "seed {}: test_mse {} at L0 {}",
            number("seed")?,
            number("test_mse")?,
            number("test_l0")?
        );
    }
    Ok(())
}
