//! The search for the strength of a penalty at which codes have a certain L0 or mean activation.
//!
//! What is measured is taken to rise or fall with the strength, roughly as a power of it: so the search brackets
//! the target and goes along secants, both in logarithms. Short trainings, each going on from the one
//! before that came nearest from above, find the neighbourhood; whole trainings from the first step,
//! the only ones that count, do the rest. Where more strength stops helping, less is tried (`turn.rs`). What is tried next follows from what was tried alone: a
//! search that was interrupted goes on as if it had not been.

mod turn;

use serde::{Deserialize, Serialize};

use crate::plugin::StrengthKey;
use crate::spec::TargetMethod;

/// Short trainings have this share of a run's steps.
pub const SHORT: f64 = 0.2;

/// The most short and the most whole trainings of a search.
pub const MOST_SHORT: usize = 8;
const MOST_WHOLE: usize = 8;

/// The fewest and the most trainings of a search: where no strength has the L0, the one that came nearest may
/// have to be trained once more.
pub const TRAININGS: [usize; 2] = [2, MOST_SHORT + MOST_WHOLE + 1];

/// Short trainings need not come nearer than this: whole ones lead elsewhere anyway. A share of the
/// target, and a factor between the strengths on both sides of it.
const NEAR: f64 = 0.1;
const NARROW: f64 = 1.25;

/// An L0 below this is as good as none.
const LEAST_L0: f64 = 0.01;

/// A mean activation below this share of the target is as good as none.
const LEAST_MEAN: f64 = 1e-3;

/// Strengths are tried in so many significant digits: what results show is what was trained.
const DIGITS: usize = 6;

/// The longest step of a weight where the target is not between two trials yet, as a factor.
const LONGEST_STEP: f64 = 10.0;

/// What a target is a value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Mean number of active latents of a test sample.
    L0,
    /// The same as a share of all latents.
    Share,
    /// Mean of the codes over all test samples and latents.
    MeanActivation,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 3] = [Self::L0, Self::Share, Self::MeanActivation];

    /// Key of the setting of `[target]` that is a value of it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::L0 => "l0",
            Self::Share => "share",
            Self::MeanActivation => "mean_activation",
        }
    }

    /// Name of it in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::Share => "share of active latents",
            Self::MeanActivation => "mean activation",
        }
    }

    /// The same with its article.
    pub const fn a_word(self) -> &'static str {
        match self {
            Self::L0 => "an L0",
            Self::Share => "a share of active latents",
            Self::MeanActivation => "a mean activation",
        }
    }

    /// Column of results that has what a run has of it.
    pub const fn column(self) -> &'static str {
        match self {
            Self::L0 => "test_l0",
            Self::Share => "test_firing_rate",
            Self::MeanActivation => "test_mean_activation",
        }
    }
}

/// Mean activation that more strength pulls codes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanPull {
    /// Key of the penalty's setting that says it.
    pub key: &'static str,
    /// The mean activation.
    pub to: f64,
}

/// What is searched for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// What is to be reached: an L0, also where a share is the target, or a mean activation.
    pub value: f64,
    /// What the target is written as.
    pub quantity: Quantity,
    /// How far from it is near enough, as a share of it.
    pub tolerance: f64,
    /// How it is reached.
    pub method: TargetMethod,
    /// What is varied.
    pub key: StrengthKey,
    /// The first strength that is tried.
    pub start: f64,
    /// The second weight at the start, if there is one: it keeps its ratio to the first.
    pub second: Option<f64>,
    /// Mean activation that more strength pulls codes to, if it is one. Of a search for a mean activation alone.
    pub pull: Option<MeanPull>,
    /// How many latents there are.
    pub latents: usize,
}

/// How long a training of a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialLength {
    /// [`SHORT`] of the steps of the run.
    Short,
    /// All of them.
    Whole,
}

/// A training of a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The strength it had.
    #[serde(with = "bits")]
    pub strength: f64,
    /// How long it was.
    pub length: TrialLength,
    /// The L0 or mean activation it led to. Searches of earlier versions call it `l0`.
    #[serde(with = "bits", rename = "l0")]
    pub value: f64,
}

/// Numbers as their bits: what follows from a trial that was read back is what followed before.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(number.to_bits())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NextTrial {
    /// Train with this strength; a short training goes on from [`Goal::warm`].
    Try(f64, TrialLength),
    /// The last trial, a whole one, has the value.
    Found,
    /// No strength has it; this one came nearest in a whole training.
    Unreached(Trial),
}

impl Goal {
    /// What is to be done after these trials.
    pub fn next(&self, trials: &[Trial]) -> NextTrial {
        let ahead = self.upward(trials);
        self.turn(&ahead, trials).unwrap_or_else(|| ahead.next(trials, MostTrials::ALL))
    }

    /// The way that a search takes from its start.
    fn upward(&self, trials: &[Trial]) -> Directed<'_> {
        Directed { goal: self, rises: self.rises(trials) }
    }

    /// Which of these trials the next short one goes on from: the sparsest of those that are denser
    /// than the target, since latents that died seldom come back.
    pub fn warm(&self, trials: &[Trial]) -> Option<usize> {
        let denser = trials.iter().enumerate();
        let denser = denser.filter(|(_, t)| t.length == TrialLength::Short && t.value > self.value);
        denser.min_by(|(_, a), (_, b)| a.value.total_cmp(&b.value)).map(|(at, _)| at)
    }

    /// Whether a value is near enough.
    pub fn is_near(&self, value: f64) -> bool {
        (value - self.value).abs() <= self.tolerance * self.value
    }

    /// The value that is searched for in words, as in `a test L0 within 5 % of 12`.
    pub fn words(&self) -> String {
        let (name, tolerance, value) = (self.name(), 100.0 * self.tolerance, self.value);
        let of = match self.quantity {
            Quantity::Share => {
                // The share as it is written, up to the rounding of both numbers.
                let share = (value / self.latents as f64 * 1e9).round() / 1e9;
                format!(" ({share} of {} latents)", self.latents)
            }
            Quantity::L0 | Quantity::MeanActivation => String::new(),
        };
        format!("a {name} within {tolerance} % of {value}{of}")
    }

    /// Name of what is measured, as in `test L0`.
    pub fn name(&self) -> &'static str {
        match self.quantity {
            Quantity::L0 | Quantity::Share => "test L0",
            Quantity::MeanActivation => "test mean activation",
        }
    }

    /// Whether what is searched for is a count of active latents.
    pub fn is_counted(&self) -> bool {
        self.quantity != Quantity::MeanActivation
    }

    /// A measured value with as many digits as reasons have.
    pub fn rounded(&self, value: f64) -> String {
        match self.is_counted() {
            true => format!("{value:.4}"),
            false => format!("{}", (value * 1e6).round() / 1e6),
        }
    }

    /// A strength in words: `k = 5`, or `lambda = 0.1 and group_lambda = 0.2`.
    pub fn strength_words(&self, strength: f64) -> String {
        let first = format!("{} = {strength}", self.key.key());
        match self.key.second().zip(self.second_at(strength)) {
            Some((key, second)) => format!("{first} and {key} = {second}"),
            None => first,
        }
    }

    /// The second weight where the first is `strength`.
    pub fn second_at(&self, strength: f64) -> Option<f64> {
        Some(self.second? * (strength / self.start))
    }

    /// Whether the value rises with the strength. A pull raises what is below it and lowers what is above it:
    /// the trial furthest from it says which of both it is here. Where all trials are near it, and the target is
    /// not, less strength leads there from either side.
    fn rises(&self, trials: &[Trial]) -> bool {
        let Some(pull) = self.pull else { return self.is_count() };
        let distance = |value: f64| (value.max(f64::MIN_POSITIVE) / pull.to).ln().abs();
        let values = trials.iter().map(|trial| trial.value);
        let furthest = values.max_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        let Some(furthest) = furthest else { return false };
        if distance(furthest) < NEAR && distance(self.value) >= NEAR {
            return furthest > self.value;
        }
        furthest < pull.to
    }

    /// Whether the strength is a number of active latents.
    fn is_count(&self) -> bool {
        matches!(self.key, StrengthKey::Count(_) | StrengthKey::MeanCount(_))
    }

    /// Whether the strength is a whole number.
    fn is_whole(&self) -> bool {
        matches!(self.key, StrengthKey::Count(_))
    }
}

/// The most trainings of each length.
#[derive(Clone, Copy)]
struct MostTrials {
    short: usize,
    whole: usize,
}

impl MostTrials {
    /// Those of a whole search.
    const ALL: Self = Self { short: MOST_SHORT, whole: MOST_WHOLE };
}

/// A goal, and how its value follows the strength.
struct Directed<'a> {
    goal: &'a Goal,
    /// True if the value rises with the strength.
    rises: bool,
}

impl std::ops::Deref for Directed<'_> {
    type Target = Goal;

    fn deref(&self) -> &Goal {
        self.goal
    }
}

impl Directed<'_> {
    fn next(&self, trials: &[Trial], most: MostTrials) -> NextTrial {
        let of = |length| {
            let trials = trials.iter().filter(move |trial| trial.length == length);
            trials.copied().collect::<Vec<Trial>>()
        };
        let (short, whole) = (of(TrialLength::Short), of(TrialLength::Whole));
        let slope = self.slope(&short);
        if let Some(last) = whole.last() {
            if self.is_near(last.value) {
                return NextTrial::Found;
            }
            let next = (whole.len() < most.whole).then(|| self.propose(&whole, slope)).flatten();
            return match next {
                Some(strength) => NextTrial::Try(strength, TrialLength::Whole),
                None => NextTrial::Unreached(self.nearest(&whole).unwrap_or(*last)),
            };
        }
        let nearest = self.nearest(&short);
        let near = if self.is_count() { self.tolerance } else { NEAR };
        let is_near = |trial: Trial| (trial.value - self.value).abs() <= near * self.value;
        let is_over = short.len() >= most.short
            || nearest.is_some_and(is_near)
            || self.bracket(&short).is_some_and(|width| width < NARROW.ln());
        let next = (!is_over).then(|| self.propose(&short, slope)).flatten();
        match (next, nearest) {
            (Some(strength), _) => NextTrial::Try(strength, TrialLength::Short),
            (None, Some(nearest)) => NextTrial::Try(nearest.strength, TrialLength::Whole),
            (None, None) => NextTrial::Try(self.allowed(self.x(self.start)), TrialLength::Short),
        }
    }

    /// How far apart the two trials are between which the target lies.
    fn bracket(&self, trials: &[Trial]) -> Option<f64> {
        let (sparse, dense): (Vec<&Trial>, Vec<&Trial>) =
            trials.iter().partition(|trial| trial.value <= self.value);
        let x = |trial: &&Trial| self.x(trial.strength);
        let below = sparse.iter().map(x).reduce(f64::max)?;
        let above = dense.iter().map(x).reduce(f64::min)?;
        Some(above - below)
    }

    /// The trial nearest to the target; the first of several.
    fn nearest(&self, trials: &[Trial]) -> Option<Trial> {
        let distance = |trial: &Trial| (self.y(trial.value) - self.y(self.value)).abs();
        trials.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).copied()
    }

    /// A strength on the axis on which the value rises.
    fn x(&self, strength: f64) -> f64 {
        let x = strength.max(f64::MIN_POSITIVE).ln();
        if self.rises { x } else { -x }
    }

    fn y(&self, value: f64) -> f64 {
        let least = match self.quantity {
            Quantity::L0 | Quantity::Share => LEAST_L0,
            Quantity::MeanActivation => LEAST_MEAN * self.value,
        };
        value.max(least).ln()
    }

    /// The strength at `x` that can be tried.
    fn allowed(&self, x: f64) -> f64 {
        let latents = self.latents.max(1) as f64;
        if self.is_whole() {
            return x.exp().round().clamp(1.0, latents);
        }
        let x = if self.rises { x } else { -x };
        let strength = x.exp().clamp(1e-30, if self.is_count() { latents } else { 1e30 });
        let rounded = format!("{strength:.*e}", DIGITS - 1);
        rounded.parse().unwrap_or(strength)
    }

    /// How the value rises along the axis, from the two trials nearest to the target.
    fn slope(&self, trials: &[Trial]) -> f64 {
        let usual = if self.is_count() { 1.0 } else { 0.7 };
        let mut sorted: Vec<(f64, f64)> =
            trials.iter().map(|trial| (self.x(trial.strength), self.y(trial.value))).collect();
        let goal = self.y(self.value);
        sorted.sort_by(|a, b| (a.1 - goal).abs().total_cmp(&(b.1 - goal).abs()));
        match sorted.as_slice() {
            [a, b, ..] if a.0 != b.0 => {
                let slope = (a.1 - b.1) / (a.0 - b.0);
                if slope > 0.0 { slope.clamp(0.2, 5.0) } else { usual }
            }
            _ => usual,
        }
    }

    /// The next strength after trials of one length; `None` if none is left to try. `slope` is how the
    /// value rises where the trials do not say.
    fn propose(&self, trials: &[Trial], slope: f64) -> Option<f64> {
        let goal = self.y(self.value);
        let points: Vec<(f64, f64)> =
            trials.iter().map(|trial| (self.x(trial.strength), self.y(trial.value))).collect();
        let sparse = points.iter().filter(|(_, y)| *y <= goal).copied();
        let dense = points.iter().filter(|(_, y)| *y > goal).copied();
        let below = sparse.clone().max_by(|a, b| a.0.total_cmp(&b.0));
        let above = dense.clone().min_by(|a, b| a.0.total_cmp(&b.0));
        let x = match (below, above) {
            (None, None) => return None,
            (Some(below), Some(above)) => {
                let last_two: Vec<bool> =
                    points.iter().rev().take(2).map(|(_, y)| *y > goal).collect();
                // A secant that keeps landing on one side is cut short by halving.
                let is_stuck = points.len() > 2 && matches!(last_two[..], [a, b] if a == b);
                let share = (goal - below.1) / (above.1 - below.1);
                let share = if is_stuck { 0.5 } else { share.clamp(0.1, 0.9) };
                below.0 + share * (above.0 - below.0)
            }
            (Some(_), None) => self.beyond(&points, sparse.collect(), slope)?,
            (None, Some(_)) => self.beyond(&points, dense.collect(), slope)?,
        };
        self.untried(x, trials)
    }

    /// Further out, where all trials are on one side of the target.
    fn beyond(&self, all: &[(f64, f64)], mut side: Vec<(f64, f64)>, slope: f64) -> Option<f64> {
        let goal = self.y(self.value);
        // The one that is furthest towards the target comes first.
        let towards = if side.first()?.1 <= goal { 1.0 } else { -1.0 };
        side.sort_by(|a, b| (towards * b.0).total_cmp(&(towards * a.0)));
        let (first, second) = (side[0], side.get(1).copied());
        let slope = if all.len() > 1 { self.slope_between(first, second, slope) } else { slope };
        if side.len() > 3 && slope < 0.02 {
            return None; // It does not come nearer any more.
        }
        // A little too far rather than not far enough: between two trials it goes faster.
        let over = if self.is_count() { 1.0 } else { 1.1 };
        let step = over * (goal - first.1).abs() / slope.max(0.02);
        let shortest: f64 = if side.len() > 4 { 2.0 } else { 1.02 };
        let longest = if self.is_count() { self.latents as f64 } else { LONGEST_STEP };
        Some(first.0 + towards * step.max(shortest.ln()).min(longest.ln()))
    }

    fn slope_between(&self, a: (f64, f64), b: Option<(f64, f64)>, usual: f64) -> f64 {
        match b {
            Some(b) if a.0 != b.0 => ((a.1 - b.1) / (a.0 - b.0)).clamp(0.0, 5.0),
            _ => usual,
        }
    }

    /// The strength at `x`, or, of whole numbers, the one beside it that was not tried yet.
    fn untried(&self, x: f64, trials: &[Trial]) -> Option<f64> {
        let is_new = |strength: &f64| trials.iter().all(|trial| trial.strength != *strength);
        let strength = self.allowed(x);
        if !self.is_whole() {
            return Some(strength).filter(is_new);
        }
        let nearest = self.nearest(trials)?;
        let towards = if nearest.value < self.value { 1.0 } else { -1.0 };
        let beside = nearest.strength + towards;
        let is_allowed = |count: &f64| (1.0..=self.latents as f64).contains(count);
        [strength, beside].into_iter().find(|strength| is_new(strength) && is_allowed(strength))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHT: StrengthKey = StrengthKey::Weight("lambda");
    const COUNT: StrengthKey = StrengthKey::Count("k");

    fn goal(l0: f64, key: StrengthKey, start: f64) -> Goal {
        let (quantity, method) = (Quantity::L0, TargetMethod::Search);
        let (second, pull) = (None, None);
        Goal {
            value: l0,
            quantity,
            tolerance: 0.05,
            method,
            key,
            start,
            second,
            pull,
            latents: 128,
        }
    }

    /// A goal of a mean activation of codes that a penalty pulls to `to`.
    fn mean_goal(value: f64, to: f64, start: f64) -> Goal {
        let (quantity, pull) = (Quantity::MeanActivation, Some(MeanPull { key: "rho", to }));
        Goal { quantity, pull, ..goal(value, WEIGHT, start) }
    }

    /// The whole of a search in a world where L0 is what `l0` says.
    fn search(goal: &Goal, l0: impl Fn(f64, TrialLength) -> f64) -> (NextTrial, Vec<Trial>) {
        let mut trials = Vec::new();
        loop {
            match goal.next(&trials) {
                NextTrial::Try(strength, length) => {
                    trials.push(Trial { strength, length, value: l0(strength, length) });
                }
                end => return (end, trials),
            }
            assert!(trials.len() <= MOST_SHORT + MOST_WHOLE, "{trials:?}");
        }
    }

    fn wholes(trials: &[Trial]) -> usize {
        trials.iter().filter(|trial| trial.length == TrialLength::Whole).count()
    }

    /// L0 as l1 has it on digits (128 latents): less after longer training, a soft knee.
    fn soft(strength: f64, length: TrialLength) -> f64 {
        let scale = if length == TrialLength::Short { 3.0 } else { 1.0 };
        105.0 / (1.0 + (strength / (0.07 * scale)).powf(0.95))
    }

    #[test]
    fn strengths_are_found_from_far_off_in_few_whole_trainings() {
        for start in [1e-4, 0.1, 30.0] {
            for l0 in [2.0, 10.0, 20.0, 40.0, 90.0] {
                let (end, trials) = search(&goal(l0, WEIGHT, start), soft);
                assert_eq!(end, NextTrial::Found, "start {start}, l0 {l0}: {trials:?}");
                let reached = trials.last().unwrap().value;
                assert!((reached / l0 - 1.0).abs() <= 0.05, "{reached} for {l0}");
                assert!(wholes(&trials) <= 5, "start {start}, l0 {l0}: {trials:?}");
            }
        }
    }

    #[test]
    fn noise_of_two_percent_does_not_keep_it_from_the_target() {
        for case in 0..200_u32 {
            let noisy = |strength: f64, length| {
                let hash = blake3::hash(format!("{case} {strength}").as_bytes());
                let noise = f64::from(hash.as_bytes()[0]) / 255.0 - 0.5;
                soft(strength, length) * (1.0 + 0.04 * noise)
            };
            let (end, trials) = search(&goal(12.0, WEIGHT, 0.1), noisy);
            assert_eq!(end, NextTrial::Found, "case {case}: {trials:?}");
        }
    }

    #[test]
    fn a_cliff_is_found_by_halving() {
        let cliff =
            |strength: f64, _| if strength < 0.5 { 90.0 } else { 90.0 * (0.5 / strength).powi(6) };
        let (end, trials) = search(&goal(20.0, WEIGHT, 1e-3), cliff);
        assert_eq!(end, NextTrial::Found, "{trials:?}");
    }

    /// Wrong if a search could take fewer or more trainings than is said of it: in worlds of each kind, those
    /// among them in which a trial says nothing of the next one.
    #[test]
    fn a_search_has_as_many_trainings_as_is_said() {
        let [least, most] = TRAININGS;
        let at_once = search(&goal(10.0, WEIGHT, 1.0), |_, _| 10.0).1.len();
        assert_eq!(at_once, least);
        let mut longest = 0;
        for case in 0..2000_u32 {
            let goal = goal(10.0, if case % 2 == 0 { WEIGHT } else { COUNT }, 1.0);
            let wild = |strength: f64, length| {
                let hash = blake3::hash(format!("{case} {strength} {length:?}").as_bytes());
                let share = f64::from(hash.as_bytes()[0]) / 255.0;
                soft(strength, length) * (0.3 + 1.4 * share)
            };
            let (end, trials) = search(&goal, wild);
            let again = match end {
                NextTrial::Unreached(nearest) => usize::from(trials.last() != Some(&nearest)),
                _ => 0,
            };
            let shorts = trials.len() - wholes(&trials);
            assert!((1..=MOST_SHORT).contains(&shorts), "{trials:?}");
            assert!((least..=most).contains(&(trials.len() + again)), "{trials:?}");
            longest = longest.max(trials.len() + again);
        }
        assert!(longest > MOST_WHOLE, "worlds are wild: {longest}");
    }

    #[test]
    fn a_count_is_found_at_once_and_whole() {
        let (end, trials) = search(&goal(25.0, COUNT, 2.0), |k, _| k);
        assert_eq!((end, trials.last().unwrap().strength), (NextTrial::Found, 25.0));
        assert_eq!(trials.len(), 3, "{trials:?}");
        // alpha = 1.5: some numbers of latents cannot be had exactly.
        let (end, trials) = search(&goal(10.0, COUNT, 2.0), |k, _| (1.5 * k).floor());
        assert_eq!(end, NextTrial::Found, "{trials:?}");
        assert_eq!(trials.last().unwrap().value, 10.0);
    }

    /// Wrong if a mean count were rounded to a whole number, or searched as a weight, which makes codes sparser.
    #[test]
    fn a_mean_count_need_not_be_whole() {
        let key = StrengthKey::MeanCount("k");
        let (end, trials) = search(&goal(25.0, key, 2.0), |k, _| k);
        assert_eq!((end, trials.len()), (NextTrial::Found, 3), "{trials:?}");
        // A threshold keeps some more than training does, and twice as many are active as a whole number would have.
        for l0 in [0.5, 3.3, 7.0] {
            let (end, trials) = search(&goal(l0, key, 2.0), |k, _| 2.1 * k);
            assert_eq!(end, NextTrial::Found, "{l0}: {trials:?}");
            assert!(trials.len() <= 4, "{l0}: {trials:?}");
        }
        let goal = goal(10.0, key, 2.0);
        assert_eq!(Directed { goal: &goal, rises: true }.allowed(99.0), 128.0);
    }

    #[test]
    fn what_no_strength_reaches_is_told_with_the_nearest() {
        let (end, trials) = search(&goal(120.0, WEIGHT, 0.1), soft);
        let NextTrial::Unreached(nearest) = end else { panic!("{end:?}: {trials:?}") };
        assert!(nearest.value > 100.0, "{nearest:?}");
        assert_eq!(nearest.length, TrialLength::Whole);
        assert!(wholes(&trials) <= 5, "{trials:?}");
        // Only even numbers of latents can be active.
        let (end, trials) = search(&goal(7.0, COUNT, 2.0), |k, _| 2.0 * k);
        let NextTrial::Unreached(nearest) = end else { panic!("{end:?}: {trials:?}") };
        assert!(nearest.value == 6.0 || nearest.value == 8.0);
        let (end, _) = search(&goal(3.0, WEIGHT, 0.1), |_, _| 0.0);
        assert!(matches!(end, NextTrial::Unreached(_)));
    }

    #[test]
    fn short_trainings_go_on_from_the_sparsest_that_is_denser_than_the_target() {
        let trial = |value, length| Trial { strength: 1.0, length, value };
        let trials = [60.0, 9.0, 30.0, 40.0].map(|l0| trial(l0, TrialLength::Short));
        assert_eq!(goal(10.0, WEIGHT, 1.0).warm(&trials), Some(2));
        assert_eq!(goal(70.0, WEIGHT, 1.0).warm(&trials), None);
        assert_eq!(goal(10.0, WEIGHT, 1.0).warm(&[trial(20.0, TrialLength::Whole)]), None);
    }

    #[test]
    fn strengths_have_few_digits_and_whole_numbers_stay_whole() {
        let (weight, count) = (goal(10.0, WEIGHT, 0.1), goal(10.0, COUNT, 2.0));
        for rises in [false, true] {
            let weight = Directed { goal: &weight, rises };
            assert_eq!(weight.allowed(weight.x(0.123456789)), 0.123457);
        }
        let count = Directed { goal: &count, rises: true };
        assert_eq!(count.allowed(count.x(17.6)), 18.0);
        assert_eq!(count.allowed(99.0), 128.0);
    }

    /// Mean activation as KL has it: from 0.4 without the penalty to `to`, the more strength the nearer.
    fn pulled(to: f64) -> impl Fn(f64, TrialLength) -> f64 {
        move |strength, length| {
            let scale = if length == TrialLength::Short { 3.0 } else { 1.0 };
            to + (0.4 - to) / (1.0 + strength / (0.2 * scale))
        }
    }

    /// Wrong if a search took more strength for less activation where it is more, or the other way round.
    #[test]
    fn a_mean_activation_is_found_on_either_side_of_the_pull() {
        for (to, means) in [(0.02, [0.03, 0.05, 0.2, 0.35]), (0.9, [0.45, 0.5, 0.7, 0.85])] {
            for (mean, start) in means.into_iter().flat_map(|mean| [(mean, 1e-3), (mean, 30.0)]) {
                let (end, trials) = search(&mean_goal(mean, to, start), pulled(to));
                assert_eq!(end, NextTrial::Found, "{mean} with {to}, from {start}: {trials:?}");
                let reached = trials.last().unwrap().value;
                assert!((reached / mean - 1.0).abs() <= 0.05, "{reached} for {mean}");
            }
        }
        // The pull itself is reached by enough strength, from below as from above.
        for to in [0.05, 0.8] {
            let (end, trials) = search(&mean_goal(to, to, 0.1), pulled(to));
            assert_eq!(end, NextTrial::Found, "{to}: {trials:?}");
        }
    }

    /// Wrong if a search for what lies beyond the pull went on for ever, or lost the nearest.
    #[test]
    fn a_mean_activation_beyond_the_pull_is_not_reached() {
        for (mean, to) in [(0.05, 0.2), (0.9, 0.7), (0.5, 0.1)] {
            let (end, trials) = search(&mean_goal(mean, to, 0.1), pulled(to));
            let NextTrial::Unreached(nearest) = end else { panic!("{end:?}: {trials:?}") };
            let best = if mean == 0.5 { 0.4 } else { to };
            assert!((nearest.value / best - 1.0).abs() < 0.1, "{nearest:?}");
        }
    }

    /// Wrong if a search did not end where the mean activation does not follow the number of active latents.
    #[test]
    fn a_search_ends_where_a_count_rises_and_falls() {
        let of_count = Goal { quantity: Quantity::MeanActivation, ..goal(0.3, COUNT, 5.0) };
        for peak in [2.0, 10.0, 60.0] {
            let (end, _) = search(&of_count, |k, _| 0.2 - 0.1 * ((k / peak).ln()).abs().min(1.0));
            assert!(matches!(end, NextTrial::Unreached(_)), "{end:?}");
        }
        let (end, trials) = search(&of_count, |k, _| 0.1 * k.sqrt());
        assert_eq!(end, NextTrial::Found, "{trials:?}");
    }

    /// L0 by strength as it was reported of JumpReLU on gpt2, between them along lines in logarithms.
    fn with_floor(strength: f64, _: TrialLength) -> f64 {
        let known =
            [(1e-3, 364.0), (0.01, 124.0), (0.1, 36.0), (1.0, 26.6), (10.0, 26.4), (100.0, 26.0)];
        let [first, .., last] = known;
        if strength <= first.0 {
            return 478.0 - 114.0 * strength / first.0;
        }
        let (from, to) = known.iter().zip(&known[1..]).find(|(_, to)| strength <= to.0).unzip();
        let (from, to) = (from.unwrap_or(&last), to.unwrap_or(&last));
        if from.0 == to.0 {
            return last.1;
        }
        let share = (strength / from.0).ln() / (to.0 / from.0).ln();
        from.1 * (to.1 / from.1).powf(share)
    }

    /// Wrong if a search took a floor for the end of all strengths that are worth a trial, went on for ever above
    /// it, or did not know it.
    #[test]
    fn a_search_from_a_floor_goes_down_and_one_below_it_names_it() {
        for start in [1e-3, 0.1, 1.0, 30.0, 1000.0] {
            for l0 in [100.0, 300.0] {
                let (end, trials) = search(&goal(l0, WEIGHT, start), with_floor);
                assert_eq!(end, NextTrial::Found, "start {start}, l0 {l0}: {trials:?}");
            }
            let (end, trials) = search(&goal(26.6, WEIGHT, start), with_floor);
            assert_eq!(end, NextTrial::Found, "start {start}: {trials:?}");
            let low = goal(10.0, WEIGHT, start);
            let (end, trials) = search(&low, with_floor);
            let NextTrial::Unreached(nearest) = end else { panic!("{end:?}: {trials:?}") };
            assert_eq!((nearest.value, low.floor(&trials)), (26.0, Some(26.0)), "{trials:?}");
            let below = trials.iter().filter(|trial| trial.strength < trials[0].strength);
            assert!((1..=2).contains(&below.count()), "start {start}: {trials:?}");
        }
        let (_, trials) = search(&goal(100.0, WEIGHT, 1.0), with_floor);
        assert_eq!(goal(100.0, WEIGHT, 1.0).floor(&trials), None);
        // Short trainings go on from one another, so that thresholds rise further than in a whole one.
        let lower = |strength: f64, length| {
            let scale = if length == TrialLength::Short { 0.3 } else { 1.0 };
            scale * with_floor(strength, length)
        };
        let low = goal(10.0, WEIGHT, 0.1);
        let (end, trials) = search(&low, lower);
        assert!(matches!(end, NextTrial::Unreached(_)), "{end:?}");
        let floor = low.floor(&trials).unwrap();
        assert!((26.0..26.1).contains(&floor), "{floor}: {trials:?}");
    }

    /// Wrong if the way back were not tried, or were tried the wrong way round: L0 falls only with less strength, and
    /// rises or stays with more.
    #[test]
    fn what_only_less_strength_leads_to_is_found() {
        for above in [0.0, 0.3] {
            let odd = |strength: f64, length| {
                let scale = if length == TrialLength::Short { 1.1 } else { 1.0 };
                scale * 40.0 * strength.powf(if strength > 1.0 { above } else { 0.4 })
            };
            for l0 in [5.0, 12.0, 30.0] {
                let goal = goal(l0, WEIGHT, 1.0);
                let (end, trials) = search(&goal, odd);
                assert_eq!(end, NextTrial::Found, "{l0}: {trials:?}");
                assert!(trials.last().unwrap().strength < 1.0, "{l0}: {trials:?}");
            }
        }
    }

    /// Wrong if a search that more strength helps, however little, or one of codes that are too sparse, turned round.
    #[test]
    fn only_what_is_stuck_above_its_target_turns() {
        let slow = |strength: f64, _| 40.0 * strength.powf(-0.03);
        let (end, trials) = search(&goal(10.0, WEIGHT, 1.0), slow);
        assert!(matches!(end, NextTrial::Unreached(_)), "{end:?}");
        assert!(trials.iter().all(|trial| trial.strength >= 1.0), "{trials:?}");
        assert_eq!(goal(10.0, WEIGHT, 1.0).floor(&trials), None);
        let (_, trials) = search(&goal(120.0, WEIGHT, 0.1), soft);
        assert!(trials.iter().all(|trial| trial.strength <= 0.1), "{trials:?}");
    }

    #[test]
    fn both_of_two_weights_are_told() {
        let key = StrengthKey::Weights("lambda", "group_lambda");
        let goal = Goal { key, second: Some(0.1), ..goal(10.0, key, 0.2) };
        assert_eq!(goal.strength_words(0.4), "lambda = 0.4 and group_lambda = 0.2");
        let share = Goal { quantity: Quantity::Share, value: 6.4, ..goal };
        assert_eq!(share.words(), "a test L0 within 5 % of 6.4 (0.05 of 128 latents)");
    }
}
