//! Dictionary stability: tells whether different seeds of one setting find the same features.
//!
//! [`match_rows`] pairs the latents of each two runs that differ by their seed alone. Only live latents count:
//! those that are active on a test sample. A table in the folder keeps the results, one row a pair, with
//! the digests of the two models. A pair is compared again only if one of its models changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use framework::fit::Opened;
use framework::plugin::L0Rule;
use framework::spec::RunSpec;
use serde::Serialize;
use store::exit::Failure;
use store::{self, Folder, Manifest, RunState, Unread};
use tables::Values;

use super::pairs::{ALIKE, SeedPair, read, table};
use super::{Runs, Setting};
use crate::statistics::chance::ChanceLevels;
use crate::statistics::dictionaries::{EXACT, Pairing, match_rows};

/// Decoder rows of the live latents of a run.
struct LiveRows {
    rows: Vec<f32>,
    /// Latent of each row.
    latents: Vec<usize>,
    inputs: usize,
}

impl LiveRows {
    /// Returns the number of rows.
    fn live(&self) -> usize {
        self.rows.len() / self.inputs
    }
}

/// Effort to spend on comparing pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Compares every pair.
    All,
    /// Takes known pairs. Of the others, compares dictionaries of at most [`EXACT`] live latents until
    /// [`QUICK`] has passed.
    Quick,
}

/// Time that a page may spend on comparing pairs.
const QUICK: Duration = Duration::from_secs(8);

/// Result of comparing seeds.
#[derive(Default)]
pub struct Stability {
    /// Compared pairs.
    pub pairs: Vec<SeedPair>,
    /// Number of pairs left out because they would take too long.
    pub left: usize,
    /// Number of runs that are not compared because their latents have no decoder rows.
    pub without_rows: usize,
    /// Reasons why pairs are missing (a model is damaged), or why results were not stored.
    pub warnings: Vec<String>,
}

/// Compares each two seeds of these settings. Stores the results in the folder if it is writable.
///
/// # Errors
/// If the folder cannot be read.
pub fn stability(
    folder: &Folder,
    grid: &[RunSpec],
    settings: &[&Setting],
    runs: &Runs,
    effort: Effort,
) -> Result<Stability, Failure> {
    let grid: HashMap<&str, &RunSpec> = grid.iter().map(|run| (run.id.0.as_str(), run)).collect();
    let members: Vec<Vec<Member<'_>>> = settings
        .iter()
        .map(|setting| {
            let ids = setting.rows.iter().map(|row| runs.text(*row, "run_id"));
            members(folder, ids.filter_map(|id| grid.get(id.as_str()).copied()))
        })
        .collect::<Result<_, _>>()?;
    let mut search = Search {
        folder,
        effort,
        started: Instant::now(),
        known: read(&folder.stability()?),
        opened: Opened::default(),
        chance: ChanceLevels::default(),
        is_new: false,
        without_rows: HashSet::new(),
        warnings: Vec::new(),
    };
    if effort == Effort::Quick {
        // Compare one pair of each setting first, so that every setting has a pair even if time runs out.
        members.iter().for_each(|members| {
            search.pairs(members, 1);
        });
    }
    let found: Vec<(Vec<SeedPair>, usize)> =
        members.iter().map(|members| search.pairs(members, usize::MAX)).collect();
    let left = found.iter().map(|(_, left)| left).sum();
    let pairs: Vec<SeedPair> = found.into_iter().flat_map(|(pairs, _)| pairs).collect();
    if search.is_new {
        let mut kept = pairs.clone();
        if effort == Effort::Quick {
            // Keep pairs of other settings too, and of models that have since been replaced.
            let found: HashSet<&[String; 2]> = pairs.iter().map(|pair| &pair.runs).collect();
            let mut others: Vec<SeedPair> = search.known.into_values().collect();
            others.retain(|other| !found.contains(&other.runs));
            others.sort_by(|a, b| a.runs.cmp(&b.runs));
            kept.extend(others);
        }
        if let Err(why) = folder.keep_stability(&table(&kept)) {
            search.warnings.push(format!("{why}; the next command compares the seeds again"));
        }
    }
    let without_rows = search.without_rows.len();
    Ok(Stability { pairs, left, without_rows, warnings: search.warnings })
}

/// A latent of one run and the latent of another run that it is paired with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatentPair {
    /// Index of the latent in the run with the lower seed.
    pub latent: usize,
    /// Index of its partner in the other run.
    pub other_latent: usize,
    /// |Cosine| of their decoder rows.
    pub cosine: f64,
}

/// Pairs the live latents of two runs, as [`stability`] does for their matched cosine. Returns the pairs, the
/// greatest cosine first.
///
/// # Errors
/// If a run or its model cannot be read, or is not the one that was compared.
pub fn latent_pairs(
    folder: &Folder,
    grid: &[RunSpec],
    pair: &SeedPair,
    opened: &mut Opened,
) -> Result<Vec<LatentPair>, String> {
    let mut read = |at: usize| {
        let (id, model) = (&pair.runs[at], pair.models[at].clone());
        let run = grid.iter().find(|run| run.id.0 == *id);
        let run = run.ok_or("the experiment file does not contain it any more");
        let rows = run
            .map_err(str::to_owned)
            .and_then(|run| dictionary(folder, &Member { run, model }, opened))
            .and_then(|rows| rows.ok_or_else(|| "its latents have no decoder rows".to_owned()));
        rows.map_err(|what| format!("run {id}: {what}"))
    };
    let (one, other) = (read(0)?, read(1)?);
    let pairing = Pairing::of(one.live(), other.live());
    let matched = match_rows(&one.rows, &other.rows, one.inputs, pairing);
    let pairs = matched.into_iter().flat_map(|matched| matched.pairs);
    let pairs = pairs.map(|(row, column, cosine)| LatentPair {
        latent: one.latents[row],
        other_latent: other.latents[column],
        cosine,
    });
    Ok(pairs.collect())
}

/// A run of a setting, and the digest of the files that are compared.
struct Member<'a> {
    run: &'a RunSpec,
    model: String,
}

/// Returns the digest of the files by which a run is compared: its model alone, unless its L0 counts by
/// magnitude. Such latents were once counted as live by another rule on the same model, so their table
/// counts too.
fn found_on(run: &RunSpec, manifest: &Manifest) -> Option<String> {
    let model = manifest.digests.get(MODEL)?;
    Some(match (run.l0_rule(), manifest.digests.get(LATENTS)) {
        (L0Rule::Magnitude, Some(latents)) => {
            blake3::hash(format!("{model} {latents}").as_bytes()).to_hex().to_string()
        }
        _ => model.clone(),
    })
}

/// Returns those of these runs that have a model, sorted by seed.
fn members<'a>(
    folder: &Folder,
    runs: impl Iterator<Item = &'a RunSpec>,
) -> Result<Vec<Member<'a>>, Failure> {
    let mut members = Vec::new();
    for run in runs {
        if let RunState::Ended(manifest) = folder.state(&run.id, false)?
            && let Some(model) = found_on(run, &manifest)
        {
            members.push(Member { run, model });
        }
    }
    members.sort_by_key(|member| member.run.seed);
    Ok(members)
}

/// State of a search: known pairs, and what comparing more needs.
struct Search<'a> {
    folder: &'a Folder,
    effort: Effort,
    started: Instant,
    /// Known pairs, by the digests of the two models.
    known: HashMap<[String; 2], SeedPair>,
    opened: Opened,
    chance: ChanceLevels,
    /// True if any pair was compared.
    is_new: bool,
    /// Runs whose latents have no decoder rows.
    without_rows: HashSet<String>,
    warnings: Vec<String>,
}

impl Search<'_> {
    /// Returns the pairs of these runs, and the number of pairs left out. Compares at most `most` pairs
    /// that are not known yet, and leaves out pairs that would take too long.
    fn pairs(&mut self, members: &[Member<'_>], most: usize) -> (Vec<SeedPair>, usize) {
        let (mut pairs, mut compared, mut left) = (Vec::new(), 0, 0);
        // Read each dictionary when the first pair needs it, and drop all of them after this setting.
        let mut dictionaries: BTreeMap<usize, Option<LiveRows>> = BTreeMap::new();
        for other in 1..members.len() {
            for one in 0..other {
                let both = [&members[one], &members[other]];
                let models = both.map(|member| member.model.clone());
                let known = self.known.get(&models).cloned();
                if let Some(pair) = known.as_ref().filter(|pair| pair.is_complete()) {
                    pairs.push(pair.clone());
                    continue;
                }
                let is_quick = self.effort == Effort::Quick;
                // A pair of an older table tells what it has, if there is no time to compare it again.
                let mut leave = |known: Option<SeedPair>| match known {
                    Some(pair) => pairs.push(pair),
                    None => left += 1,
                };
                if compared == most || is_quick && self.started.elapsed() > QUICK {
                    leave(known);
                    continue;
                }
                for at in [one, other] {
                    dictionaries.entry(at).or_insert_with(|| self.dictionary(&members[at]));
                }
                let [Some(Some(a)), Some(Some(b))] = [one, other].map(|at| dictionaries.get(&at))
                else {
                    pairs.extend(known);
                    continue;
                };
                if is_quick && a.live().max(b.live()) > EXACT {
                    leave(known);
                    continue;
                }
                let pair = between(both, [a, b], &mut self.chance);
                (self.is_new, compared) = (true, compared + 1);
                self.known.insert(models, pair.clone());
                pairs.push(pair);
            }
        }
        (pairs, left)
    }

    /// Returns the dictionary of a run. If it cannot be read, warns once.
    fn dictionary(&mut self, member: &Member<'_>) -> Option<LiveRows> {
        match dictionary(self.folder, member, &mut self.opened) {
            Ok(Some(dictionary)) => Some(dictionary),
            Ok(None) => {
                self.without_rows.insert(member.run.id.0.clone());
                None
            }
            Err(what) => {
                let what = format!("run {}: {what}", member.run.id);
                if !self.warnings.contains(&what) {
                    self.warnings.push(what);
                }
                None
            }
        }
    }
}

/// File of a run that holds its model.
const MODEL: &str = "model.safetensors";
/// File of a run that holds its table of latents.
const LATENTS: &str = "latents.parquet";

/// Compares two runs.
fn between(
    members: [&Member<'_>; 2],
    dictionaries: [&LiveRows; 2],
    chance: &mut ChanceLevels,
) -> SeedPair {
    let [one, other] = dictionaries;
    let live = dictionaries.map(LiveRows::live);
    let pairing = Pairing::of(live[0], live[1]);
    let matched = match_rows(&one.rows, &other.rows, one.inputs, pairing);
    SeedPair {
        runs: members.map(|member| member.run.id.0.clone()),
        seeds: members.map(|member| member.run.seed),
        models: members.map(|member| member.model.clone()),
        live,
        matched_cosine: matched.as_ref().map(|matched| matched.mean()),
        chance: chance.level(live, one.inputs, pairing),
        alike: matched.as_ref().map(|matched| matched.share_above(ALIKE)),
        pairing: pairing.name().to_owned(),
    }
}

/// Reads the decoder rows of a run's live latents, in the units of the data; `None` if its latents have none.
fn dictionary(
    folder: &Folder,
    member: &Member<'_>,
    opened: &mut Opened,
) -> Result<Option<LiveRows>, String> {
    let run = member.run;
    let data = opened.get(&run.dataset).map_err(|problem| problem.to_string())?;
    let inputs = data.shape().inputs();
    let state = folder.state(&run.id, false).map_err(|failure| failure.to_string())?;
    let RunState::Ended(manifest) = state else { return Err("it has not ended".to_owned()) };
    if found_on(run, &manifest).as_ref() != Some(&member.model) {
        return Err("its model was replaced just now".to_owned());
    }
    let bytes = folder.read_run_file(&manifest, MODEL).map_err(said)?;
    let trained = manifest.as_trained(run)?;
    let model = store::read_model(&trained, data.shape(), &bytes)?;
    let Some(mut rows) = model.dictionary() else { return Ok(None) };
    model.normalizer.undo_direction(&mut rows);
    let is_live = live(folder, &manifest)?;
    let is_live = |at: usize| is_live.as_ref().is_none_or(|all| all.get(at) != Some(&false));
    let latents: Vec<usize> = (0..rows.len() / inputs).filter(|at| is_live(*at)).collect();
    let rows = latents.iter().flat_map(|at| &rows[at * inputs..(at + 1) * inputs]);
    Ok(Some(LiveRows { rows: rows.copied().collect(), latents, inputs }))
}

/// Returns true for each latent that is active on a test sample; `None` if firing rates were not measured.
fn live(folder: &Folder, manifest: &Manifest) -> Result<Option<Vec<bool>>, String> {
    let table = folder.table_of(&manifest.run_id, LATENTS).map_err(said)?;
    let rates = match table.as_ref().and_then(|table| table.get("firing_rate")) {
        Some(Values::Number(rates)) => rates,
        _ => return Ok(None),
    };
    Ok(rates.iter().map(|rate| rate.map(|rate| rate > 0.0)).collect())
}

/// Returns the message of a file that was not read.
fn said(unread: Unread) -> String {
    match unread {
        Unread::Damaged(what) => what,
        Unread::Failed(failure) => failure.to_string(),
    }
}
