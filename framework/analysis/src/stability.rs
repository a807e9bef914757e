//! Dictionary stability: whether different seeds of one setting find the same features.
//!
//! Each two of the runs that differ by their seed alone are compared by [`matched_cosine`], live latents
//! only: those that are active on a test sample. What was found stands in a table, a row a pair, with
//! the digests of the two models that it is about: only pairs of other models are compared anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use framework::dims::Input;
use framework::fit::Opened;
use framework::plugin::L0Rule;
use framework::spec::RunSpec;
use store::exit::Failure;
use store::{self, Folder, Manifest, RunState, Unread};
use tables::Values;

use super::pairs::{SeedPair, read, table};
use super::{Runs, Setting};
use crate::statistics::dictionaries::{EXACT, Pairing, matched_cosine};

/// The dictionary of a run: the rows of live latents.
struct LiveRows {
    rows: Vec<f32>,
    inputs: usize,
}

impl LiveRows {
    /// How many rows it has.
    fn live(&self) -> usize {
        self.rows.len() / self.inputs
    }
}

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Every pair.
    All,
    /// What is known, and of the rest, dictionaries of at most [`EXACT`] live latents for as long as
    /// [`QUICK`].
    Quick,
}

/// So long a page may take for it.
const QUICK: Duration = Duration::from_secs(8);

/// What was found.
#[derive(Default)]
pub struct Stability {
    /// The pairs.
    pub pairs: Vec<SeedPair>,
    /// How many more there are, which were left for when there is more time.
    pub left: usize,
    /// Why others were left out, as a model that is damaged or has no rows, or why nothing was kept.
    pub warnings: Vec<String>,
}

/// Compares each two seeds of these settings, and keeps what was found where the folder can be written to.
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
        is_new: false,
        warnings: Vec::new(),
    };
    if effort == Effort::Quick {
        // First one pair of each setting: then time does not decide which settings there are.
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
            // The others are of settings that nobody asked for, or of models that are no more.
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
    Ok(Stability { pairs, left, warnings: search.warnings })
}

/// A run of a setting, and the digest of what is compared of it.
struct Member<'a> {
    run: &'a RunSpec,
    model: String,
}

/// The digest of what is compared of a run: of its model, and, where live latents were once counted
/// otherwise on the same model, of both that and the table that says which are live.
fn found_on(run: &RunSpec, manifest: &Manifest) -> Option<String> {
    let model = manifest.digests.get(MODEL)?;
    Some(match (run.l0_rule(), manifest.digests.get(LATENTS)) {
        (L0Rule::Magnitude, Some(latents)) => {
            blake3::hash(format!("{model} {latents}").as_bytes()).to_hex().to_string()
        }
        _ => model.clone(),
    })
}

/// Those of these runs that have a model, in the order of their seeds.
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

/// What is known of pairs, and what it takes to know more.
struct Search<'a> {
    folder: &'a Folder,
    effort: Effort,
    started: Instant,
    /// By the digests of the two models.
    known: HashMap<[String; 2], SeedPair>,
    opened: Opened,
    /// Whether any pair was compared.
    is_new: bool,
    warnings: Vec<String>,
}

impl Search<'_> {
    /// The pairs of these runs, of which at most `most` are compared and the others known; and how many
    /// were left, as they would take too long.
    fn pairs(&mut self, members: &[Member<'_>], most: usize) -> (Vec<SeedPair>, usize) {
        let (mut pairs, mut compared, mut left) = (Vec::new(), 0, 0);
        // Read when the first pair needs it, and let go with the setting.
        let mut dictionaries: BTreeMap<usize, Option<LiveRows>> = BTreeMap::new();
        for other in 1..members.len() {
            for one in 0..other {
                let both = [&members[one], &members[other]];
                let models = both.map(|member| member.model.clone());
                if let Some(pair) = self.known.get(&models) {
                    pairs.push(pair.clone());
                    continue;
                }
                let is_quick = self.effort == Effort::Quick;
                if compared == most || is_quick && self.started.elapsed() > QUICK {
                    left += 1;
                    continue;
                }
                for at in [one, other] {
                    dictionaries.entry(at).or_insert_with(|| self.dictionary(&members[at]));
                }
                let [Some(Some(a)), Some(Some(b))] = [one, other].map(|at| dictionaries.get(&at))
                else {
                    continue;
                };
                if is_quick && a.live().max(b.live()) > EXACT {
                    left += 1;
                    continue;
                }
                let pair = between(both, [a, b]);
                (self.is_new, compared) = (true, compared + 1);
                self.known.insert(models, pair.clone());
                pairs.push(pair);
            }
        }
        (pairs, left)
    }

    /// The dictionary of a run; if it has none, that is told once.
    fn dictionary(&mut self, member: &Member<'_>) -> Option<LiveRows> {
        match dictionary(self.folder, member, &mut self.opened) {
            Ok(dictionary) => Some(dictionary),
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

const MODEL: &str = "model.safetensors";
const LATENTS: &str = "latents.parquet";

fn between(members: [&Member<'_>; 2], dictionaries: [&LiveRows; 2]) -> SeedPair {
    let [one, other] = dictionaries;
    let live = dictionaries.map(LiveRows::live);
    let pairing = Pairing::of(live[0], live[1]);
    SeedPair {
        runs: members.map(|member| member.run.id.0.clone()),
        seeds: members.map(|member| member.run.seed),
        models: members.map(|member| member.model.clone()),
        live,
        matched_cosine: matched_cosine(&one.rows, &other.rows, one.inputs, pairing),
        pairing: pairing.name().to_owned(),
    }
}

/// The decoder rows of a run's live latents in the units of the data.
fn dictionary(
    folder: &Folder,
    member: &Member<'_>,
    opened: &mut Opened,
) -> Result<LiveRows, String> {
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
    let model = store::read_model(&trained, Input(inputs), &bytes)?;
    let mut rows = model.dictionary().ok_or("its latents have no decoder rows")?;
    model.normalizer.undo_direction(&mut rows);
    let is_live = live(folder, &manifest)?;
    let is_live = |at: usize| is_live.as_ref().is_none_or(|all| all.get(at) != Some(&false));
    let rows = rows.chunks_exact(inputs).enumerate().filter(|(at, _)| is_live(*at));
    let rows = rows.flat_map(|(_, row)| row).copied().collect();
    Ok(LiveRows { rows, inputs })
}

/// Which latents are active on a test sample; `None` where that was not measured.
fn live(folder: &Folder, manifest: &Manifest) -> Result<Option<Vec<bool>>, String> {
    let table = folder.table_of(&manifest.run_id, LATENTS).map_err(said)?;
    let rates = match table.as_ref().and_then(|table| table.get("firing_rate")) {
        Some(Values::Number(rates)) => rates,
        _ => return Ok(None),
    };
    Ok(rates.iter().map(|rate| rate.map(|rate| rate > 0.0)).collect())
}

fn said(unread: Unread) -> String {
    match unread {
        Unread::Damaged(what) => what,
        Unread::Failed(failure) => failure.to_string(),
    }
}
