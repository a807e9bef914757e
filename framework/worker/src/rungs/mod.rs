//! How far each run goes where `[run] halving` stops those that do badly.
//!
//! Runs are compared at rungs. A rung is decided when each of its runs has a record there or has ended:
//! so who goes on is a function of the records, whoever wrote them and when. What is decided is kept in
//! memory, and of what is not, only new records are read.

mod rank;

use std::collections::{HashMap, HashSet};

use framework::spec::{Experiment, Halving, RunId, RunSpec, Rung};
use store::exit::Failure;
use store::{Changes, Folder, RunCondition, Status};

use super::training::readable;
use rank::{Ranking, Standing};

/// How far a run goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// To a rung, or, where there is none any more, to its end.
    GoOn(Option<Rung>),
    /// Not further before others have come as far: to this rung, after so many steps.
    Wait(Rung, usize),
    /// No further: others are better.
    Out(Out),
}

/// Where and why a run is stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Out {
    /// The rung.
    pub rung: Rung,
    /// Why, in words.
    pub reason: String,
}

/// What is known of the runs of a grid at their rungs.
pub struct Rungs<'a> {
    folder: &'a Folder,
    runs: &'a [RunSpec],
    halving: Option<&'a Halving>,
    rungs: Vec<Rung>,
    groups: Vec<Bracket>,
    /// Where each run is in the following list.
    index: HashMap<&'a RunId, usize>,
    at: Vec<RunAtRung>,
    changes: Changes,
}

/// Runs that are compared with one another.
struct Bracket {
    /// Those that have got so far as the first rung that is not decided.
    alive: Vec<usize>,
    /// Which of the rungs that is; their number: all are decided.
    rung: usize,
}

/// What is known of a run.
struct RunAtRung {
    group: usize,
    /// How it stands at the first rung of its group that is not decided, and after how many steps.
    standing: Option<(Standing, usize)>,
    out: Option<Out>,
}

impl<'a> Rungs<'a> {
    /// Those of the runs of an experiment, as far as they are decided now.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn new(
        folder: &'a Folder,
        experiment: &'a Experiment,
        runs: &'a [RunSpec],
    ) -> Result<Self, Failure> {
        let halving = experiment.run.halving.as_ref();
        let mut new = Self {
            folder,
            runs,
            halving,
            rungs: halving.map_or(Vec::new(), Halving::rungs),
            groups: Vec::new(),
            index: HashMap::new(),
            at: Vec::new(),
            changes: Changes::default(),
        };
        new.begin_anew()?;
        Ok(new)
    }

    fn begin_anew(&mut self) -> Result<(), Failure> {
        let Some(halving) = self.halving else { return Ok(()) };
        self.groups.clear();
        self.at.clear();
        let mut known: HashMap<Vec<Option<String>>, usize> = HashMap::new();
        for (at, run) in self.runs.iter().enumerate() {
            let value = |axis: &String| match axis.as_str() {
                "seed" => Some(run.seed.to_string()),
                axis => run.value_on(axis).map(str::to_owned),
            };
            let key = halving.within.iter().map(value).collect();
            let group = *known.entry(key).or_insert(self.groups.len());
            if group == self.groups.len() {
                self.groups.push(Bracket { alive: Vec::new(), rung: 0 });
            }
            self.groups[group].alive.push(at);
            self.index.insert(&run.id, at);
            self.at.push(RunAtRung { group, standing: None, out: None });
        }
        self.refresh()
    }

    /// Looks what has come to pass since, and decides the rungs that now can be.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        let Some(halving) = self.halving else { return Ok(()) };
        if self.groups.iter().all(|group| group.rung == self.rungs.len()) {
            return Ok(());
        }
        let ended: HashSet<RunId> = self.folder.run_ids()?.into_iter().collect();
        let mut recorded: Vec<Option<HashSet<RunId>>> = vec![None; self.rungs.len()];
        for group in 0..self.groups.len() {
            while let Some(rung) = self.rungs.get(self.groups[group].rung).copied() {
                let recorded = match &mut recorded[rung.number - 1] {
                    Some(known) => known,
                    unknown => unknown.insert(self.folder.recorded(rung.share)?),
                };
                for at in self.groups[group].alive.clone() {
                    if self.at[at].standing.is_none() {
                        let id = &self.runs[at].id;
                        let (recorded, ended) = (recorded.contains(id), ended.contains(id));
                        self.at[at].standing = self.look(at, rung, recorded, ended)?;
                    }
                }
                let alive = &self.groups[group].alive;
                let standings: Option<Vec<(&RunId, Standing)>> = alive
                    .iter()
                    .map(|at| Some((&self.runs[*at].id, self.at[*at].standing?.0)))
                    .collect();
                let Some(standings) = standings else { break };
                let ranking = Ranking::new(halving, &standings);
                self.decide(group, rung, &ranking);
            }
        }
        Ok(())
    }

    /// How a run stands at a rung, if that is known yet; there is a record, or it has ended, only if
    /// so it was found.
    fn look(
        &mut self,
        at: usize,
        rung: Rung,
        recorded: bool,
        ended: bool,
    ) -> Result<Option<(Standing, usize)>, Failure> {
        let (Some(halving), run) = (self.halving, &self.runs[at]) else { return Ok(None) };
        let record = if recorded { self.folder.record(rung.share, &run.id)? } else { None };
        // What was measured on other data is no comparison.
        let record = record.filter(|record| self.changes.since(run, &record.data).is_none());
        if let Some(record) = record {
            let missed = record.missed.then_some(Standing::Absent);
            let measured = record.metrics.get(&halving.metric);
            let measured = measured.map(|value| Standing::Measured(value.as_f64()));
            if let Some(standing) = measured.or(missed) {
                return Ok(Some((standing, record.step)));
            }
        }
        let status =
            if ended { self.folder.brief(&run.id)?.map(|brief| brief.status) } else { None };
        Ok(match status {
            Some(Status::Done) => Some((Standing::Absent, 0)),
            // It has come to another rung, and may yet come to this one.
            Some(Status::Stopped) | None => None,
            Some(_) => Some((Standing::Failed, 0)),
        })
    }

    fn decide(&mut self, group: usize, rung: Rung, ranking: &Ranking) {
        let metric = self.halving.map_or("", |halving| halving.metric.as_str());
        let group = &mut self.groups[group];
        let mut kept = Vec::with_capacity(ranking.kept);
        for (place, at) in std::mem::take(&mut group.alive).into_iter().enumerate() {
            let run = &mut self.at[at];
            if ranking.goes_on(place) {
                kept.push(at);
                run.standing = None;
            } else if let Some((Standing::Measured(value), step)) = run.standing {
                let value = value.map_or("undefined".to_owned(), readable);
                let reason = format!(
                    "rung {} of {}, at step {step}: place {} of {} by {metric} ({value}); the first {} go on",
                    rung.number, rung.of, ranking.places[place], ranking.of, ranking.kept,
                );
                run.out = Some(Out { rung, reason });
            }
        }
        (group.alive, group.rung) = (kept, group.rung + 1);
    }

    /// How far a run goes, as far as is known; asks for its own record.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn verdict(&mut self, run: &RunSpec) -> Result<Verdict, Failure> {
        let Some(at) = self.index.get(&run.id).copied() else { return Ok(Verdict::GoOn(None)) };
        let rung = self.rungs.get(self.groups[self.at[at].group].rung).copied();
        if let (None, None, Some(rung)) = (&self.at[at].standing, &self.at[at].out, rung) {
            self.at[at].standing = self.look(at, rung, true, false)?;
        }
        Ok(self.known(&run.id))
    }

    /// The same by what was looked at before.
    pub fn known(&self, id: &RunId) -> Verdict {
        let Some(at) = self.index.get(id).map(|at| &self.at[*at]) else {
            return Verdict::GoOn(None);
        };
        if let Some(out) = &at.out {
            return Verdict::Out(out.clone());
        }
        match (self.rungs.get(self.groups[at.group].rung).copied(), at.standing) {
            (Some(rung), Some((Standing::Measured(_) | Standing::Absent, step))) => {
                Verdict::Wait(rung, step)
            }
            (rung, _) => Verdict::GoOn(rung),
        }
    }

    /// Hears that a run has not ended. If it was taken for one that failed, others have put its result
    /// aside since, and all is looked at anew.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn has_not_ended(&mut self, run: &RunSpec) -> Result<(), Failure> {
        let at = self.index.get(&run.id).map(|at| &self.at[*at]);
        match at.and_then(|at| at.standing) {
            Some((Standing::Failed, _)) => self.begin_anew(),
            _ => Ok(()),
        }
    }

    /// Tells runs that wait at a rung from those that were interrupted.
    pub fn tell(&self, known: &mut [RunCondition]) {
        for (run, known) in self.runs.iter().zip(known) {
            if let (RunCondition::Interrupted(_), Verdict::Wait(rung, step)) =
                (&*known, self.known(&run.id))
            {
                let Rung { number, of, .. } = rung;
                *known = RunCondition::Waiting(format!("at rung {number} of {of}, step {step}"));
            }
        }
    }
}
