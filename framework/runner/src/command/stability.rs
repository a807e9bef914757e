//! `stability`: whether different seeds of one setting find the same features.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};

use super::{print, show};
use crate::analysis::{Comparison, Pair, Runs, Setting, stability as pairs_of};
use crate::exit::{Exit, Failure};
use crate::progress::say;
use crate::store::{Folder, load_runs};

/// Compares the dictionaries of different seeds of one setting.
///
/// The decoder rows of the live latents of two seeds, those active on a test sample, are paired one to
/// one so that the sum of |cosine| is greatest; the matched cosine is the mean over pairs, and latents
/// left over count 0. Rows drawn at random have some too, the more, the fewer the inputs. Beyond 2048 latents the nearest two are paired first, again and again, which
/// gives at most as much. What is found is kept in stability.parquet: only new models are compared.
#[derive(Args)]
pub struct Arguments {
    /// The experiment folder, as in results/kl_sweep
    folder: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn stability(arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::at(&arguments.folder);
    let grid = folder.experiment()?.runs()?;
    let (table, warnings) = load_runs(std::slice::from_ref(&arguments.folder))?;
    let runs = Runs::new(table);
    let comparison = Comparison::new(&runs, &["penalty".to_owned()], "test_mse", &[]);
    let (pairs, more) = pairs_of(&folder, &grid, &comparison, &runs)?;
    warnings.iter().chain(&more).for_each(|warning| say(&format!("warning: {warning}")));
    let rows: Vec<Row<'_>> = comparison
        .groups
        .iter()
        .flat_map(|group| group.settings.iter().map(move |one| (group.name.as_str(), one)))
        .filter_map(|(method, setting)| Row::of(method, setting, &pairs, &runs))
        .collect();
    if arguments.json {
        print(&format!("{}\n", document(&rows)))?;
    } else if rows.is_empty() {
        print("No setting has two seeds that are done and have decoder rows.\n")?;
    } else {
        let heading =
            ["method", "setting", "seeds", "live latents", "matched cosine", "least", "greatest"];
        print(&show::table(&heading, &rows.iter().map(Row::cells).collect::<Vec<_>>()))?;
    }
    Ok(Exit::Done)
}

/// A setting and the pairs of its runs.
struct Row<'a> {
    method: &'a str,
    setting: &'a Setting,
    pairs: Vec<&'a Pair>,
}

impl<'a> Row<'a> {
    fn of(method: &'a str, setting: &'a Setting, all: &'a [Pair], runs: &Runs) -> Option<Self> {
        let ids: Vec<String> = setting.rows.iter().map(|row| runs.text(*row, "run_id")).collect();
        let pairs: Vec<&Pair> = all.iter().filter(|pair| ids.contains(&pair.runs[0])).collect();
        (!pairs.is_empty()).then_some(Self { method, setting, pairs })
    }

    fn cosines(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().filter_map(|pair| pair.matched_cosine)
    }

    /// The mean over pairs; pairs share runs, so there is no interval.
    fn mean(&self) -> Option<f64> {
        let count = self.cosines().count();
        (count > 0).then(|| self.cosines().sum::<f64>() / count as f64)
    }

    fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), show::number);
        let live = self.pairs.iter().flat_map(|pair| pair.live);
        let (least, most) = (live.clone().min().unwrap_or(0), live.max().unwrap_or(0));
        vec![
            self.method.to_owned(),
            self.setting.words.clone(),
            self.setting.rows.len().to_string(),
            if least == most { least.to_string() } else { format!("{least} to {most}") },
            number(self.mean()),
            number(self.cosines().reduce(f64::min)),
            number(self.cosines().reduce(f64::max)),
        ]
    }
}

fn document(rows: &[Row<'_>]) -> Json {
    let pair = |pair: &&Pair| {
        json!({
            "run_ids": pair.runs, "seeds": pair.seeds, "live_latents": pair.live,
            "matched_cosine": pair.matched_cosine, "pairing": pair.pairing,
        })
    };
    let row = |row: &Row<'_>| {
        json!({
            "method": row.method,
            "setting": row.setting.words,
            "matched_cosine": row.mean(),
            "pairs": row.pairs.iter().map(pair).collect::<Vec<_>>(),
        })
    };
    json!({ "settings": rows.iter().map(row).collect::<Vec<_>>() })
}
