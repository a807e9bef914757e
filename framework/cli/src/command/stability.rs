//! `stability`: shows whether different seeds of one setting find the same features.

use std::path::PathBuf;

use analysis::{
    Agreement, Comparisons, EARLIER, Effort, LatentPair, Question, Runs, SeedPair, Setting,
    latent_pairs, stability as pairs_of, words,
};
use clap::Args;
use framework::fit::Opened;
use framework::printable;
use serde_json::{Value as Json, json};
use store::Folder;
use store::exit::{Exit, Failure};

use super::{print, print_json, show};
use crate::progress::say;

const MORE: &str = "\
The decoder rows of the live latents of two seeds, those active on a test sample, are paired one to one so that the
sum of |cosine| is greatest; the matched cosine is the mean over pairs, and latents left over count 0. Beyond 2048
latents the nearest two are paired first, again and again, which gives at most as much.

Rows drawn at random have some in common too, the more, the fewer the inputs. `chance` is what directions drawn at
random come to, as many as there are live latents, in as many dimensions, paired in the same way. Beyond 256 latents
their numbers are rounded, beyond 2048 the level is computed instead of drawn, each to within 2 %. `above 0.7` is the share of latents with a partner of |cosine| above
0.7, on average over each two seeds. What is found is kept in stability.parquet: only new models are compared.";

#[derive(Args)]
#[command(after_long_help = MORE)]
pub struct Arguments {
    /// Experiment folder, such as results/kl_sweep
    folder: PathBuf,
    /// List each two seeds, and of each the pairs of latents: a latent of the one run, its partner in the other and
    /// their cosine, the most alike first
    #[arg(long)]
    pairs: bool,
    /// With `--pairs`, list every pair of latents, not only the first 20
    #[arg(long, requires = "pairs")]
    all: bool,
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
    if found.without_rows > 0 {
        say(&format!(
            "runs whose latents have no decoder rows are not compared: {}",
            found.without_rows
        ));
    }
    let rows = Agreement::all(comparisons.groups(), &found.pairs, &runs);
    let most = if arguments.all { usize::MAX } else { SHOWN };
    let mut opened = Opened::default();
    let mut of_pair = |pair: &SeedPair| -> Option<Vec<LatentPair>> {
        match latent_pairs(&folder, &grid, pair, &mut opened) {
            Ok(pairs) => Some(pairs),
            Err(what) => {
                say(&format!("warning: {what}"));
                None
            }
        }
    };
    if arguments.json {
        let mut document = document(&rows);
        if arguments.pairs {
            for (row, setting) in rows.iter().enumerate() {
                for (at, pair) in setting.pairs.iter().enumerate() {
                    let mut latents = of_pair(pair);
                    latents.iter_mut().for_each(|latents| latents.truncate(most));
                    document["settings"][row]["pairs"][at]["latent_pairs"] = json!(latents);
                }
            }
        }
        print_json(&document)?;
    } else if rows.is_empty() {
        print(
            "No setting has two seeds that are done and whose latents have decoder rows, as those of one dense layer \
             have.\n",
        )?;
    } else {
        let cells: Vec<_> = rows.iter().map(Agreement::cells).collect();
        print(&show::table(&Agreement::HEADING, &cells))?;
        print(&format!("{}\n", Agreement::meaning(&rows).join("\n")))?;
        for setting in rows.iter().filter(|_| arguments.pairs) {
            for pair in &setting.pairs {
                print(&pair_text(setting, pair, of_pair(pair), most))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Number of pairs of latents shown without `--all`.
const SHOWN: usize = 20;

/// Writes two seeds of a setting, and their pairs of latents.
fn pair_text(
    setting: &Agreement<'_>,
    pair: &SeedPair,
    latents: Option<Vec<LatentPair>>,
    most: usize,
) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), words::number);
    let [one, other] = &pair.runs;
    let share = pair.alike.map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share));
    let words = format!(
        "{} {}: seed {} (run {one}) and seed {} (run {other}): matched cosine {}, chance {}, above 0.7 {share}",
        setting.group.title(),
        setting.setting.words,
        pair.seeds[0],
        pair.seeds[1],
        number(pair.matched_cosine),
        number(pair.chance),
    );
    let mut text = format!("\n{}\n", printable::line(&words));
    let Some(latents) = latents.filter(|latents| !latents.is_empty()) else { return text };
    let cells = |pair: &LatentPair| {
        vec![pair.latent.to_string(), pair.other_latent.to_string(), format!("{:.4}", pair.cosine)]
    };
    let cells: Vec<Vec<String>> = latents.iter().take(most).map(cells).collect();
    let titles = [format!("latent of {one}"), format!("latent of {other}"), "cosine".to_owned()];
    text.push_str(&show::table(&titles.each_ref().map(String::as_str), &cells));
    if let more @ 1.. = latents.len().saturating_sub(most) {
        text.push_str(&format!("… and {more} more; `--all` shows them\n"));
    }
    text
}

fn document(rows: &[Agreement<'_>]) -> Json {
    let pair = |pair: &&SeedPair| {
        json!({
            "run_ids": pair.runs, "seeds": pair.seeds, "live_latents": pair.live,
            "matched_cosine": pair.matched_cosine, "chance_cosine": pair.chance,
            "share_above_0_7": pair.alike, "pairing": pair.pairing,
        })
    };
    let row = |row: &Agreement<'_>| {
        json!({
            "method": row.group.name,
            "within": row.group.within,
            "setting": row.setting.words,
            "matched_cosine": row.mean(),
            "chance_cosine": row.chance(),
            "share_above_0_7": row.alike(),
            "pairs": row.pairs.iter().map(pair).collect::<Vec<_>>(),
        })
    };
    json!({ "settings": rows.iter().map(row).collect::<Vec<_>>() })
}
