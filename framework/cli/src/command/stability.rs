//! `stability`: shows whether different seeds of one setting find the same features.

use std::path::PathBuf;

use analysis::{
    Agreement, Comparisons, EARLIER, Effort, Question, Runs, SeedPair, Setting,
    stability as pairs_of,
};
use clap::Args;
use serde_json::{Value as Json, json};
use store::Folder;
use store::exit::{Exit, Failure};

use super::{print, print_json, show};
use crate::progress::say;

const MORE: &str = "\
The decoder rows of the live latents of two seeds, those active on a test sample, are paired one to one so that the
sum of |cosine| is greatest; the matched cosine is the mean over pairs, and latents left over count 0. Rows drawn at
random have some too, the more, the fewer the inputs. Beyond 2048 latents the nearest two are paired first, again and
again, which gives at most as much. What is found is kept in stability.parquet: only new models are compared.";

#[derive(Args)]
#[command(after_long_help = MORE)]
pub struct Arguments {
    /// Experiment folder, such as results/kl_sweep
    folder: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn stability(arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::at(&arguments.folder);
    let grid = folder.experiment()?.runs()?;
    let (runs, warnings) = Runs::load(std::slice::from_ref(&arguments.folder), false)?;
    if runs.earlier > 0 {
        say(&format!("left out: {} {EARLIER}", runs.earlier));
    }
    let comparisons = Comparisons::new(&runs, &Question::default());
    let settings: Vec<&Setting> = comparisons.groups().flat_map(|group| &group.settings).collect();
    let found = pairs_of(&folder, &grid, &settings, &runs, Effort::All)?;
    warnings.iter().chain(&found.warnings).for_each(|warning| say(&format!("warning: {warning}")));
    let rows = Agreement::all(comparisons.groups(), &found.pairs, &runs);
    if arguments.json {
        print_json(&document(&rows))?;
    } else if rows.is_empty() {
        print("No setting has two seeds that are done and have decoder rows.\n")?;
    } else {
        let cells: Vec<_> = rows.iter().map(Agreement::cells).collect();
        print(&show::table(&Agreement::HEADING, &cells))?;
    }
    Ok(Exit::Done)
}

fn document(rows: &[Agreement<'_>]) -> Json {
    let pair = |pair: &&SeedPair| {
        json!({
            "run_ids": pair.runs, "seeds": pair.seeds, "live_latents": pair.live,
            "matched_cosine": pair.matched_cosine, "pairing": pair.pairing,
        })
    };
    let row = |row: &Agreement<'_>| {
        json!({
            "method": row.group.name,
            "within": row.group.within,
            "setting": row.setting.words,
            "matched_cosine": row.mean(),
            "pairs": row.pairs.iter().map(pair).collect::<Vec<_>>(),
        })
    };
    json!({ "settings": rows.iter().map(row).collect::<Vec<_>>() })
}
