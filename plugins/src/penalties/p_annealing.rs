//! p-annealing: an L_p norm of the code whose p falls while a model trains, from L1 towards a count of what is active.

use dfdx::prelude::{HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Mode, OwnState, Pass, Real, State, Step, Traced, tensor, values};
use framework::plugin::{
    ALIASES, Activation, Alias, CodeFacts, CodeRange, FusedPenalty, Meant, OwnedCodes, PENALTIES,
    Penalize, Penalty, PerSample, Plugin, SampleCode, StrengthKey, Term, Unfit, sum_of,
};
use framework::spec::numbers::{Portion, PositiveShare, Strength};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Values below this count as much as it, without a slope: that of h^p is unbounded at 0.
const FLOOR: f64 = 1e-6;

/// Number of steps before an update whose sums decide what the weight is multiplied by.
const WINDOW: usize = 10;

/// Most updates: each has a place in the running state.
const MOST_UPDATES: usize = 1000;

/// Name of the running state: for each update, the mean over samples of the sums at the p before it and at the p
/// after it, added up over the steps of its window.
const SUMS: &str = "sums";

/// `lambda` times the mean over samples of Σ hⱼ^p over hⱼ > 0. p starts at 1 and falls in equal updates to `p_end`; at
/// each, lambda is multiplied so that the term does not jump. Codes are those after `activation = "relu"`.
///
/// Source: Karvonen et al. 2024, Measuring Progress in Dictionary Learning for Language Model Interpretability with
/// Board Game Models, section 4.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PAnnealingSettings {
    /// Weight of the penalty in the loss while p is 1.
    lambda: Strength,
    /// p after the last update.
    #[serde(default = "a_fifth")]
    p_end: PositiveShare,
    /// Share of the steps before the first update.
    #[serde(default = "a_tenth")]
    start: Portion,
    /// Number of updates, at most 1000, spread evenly over the steps that are left.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    updates: usize,
}

fn a_fifth() -> PositiveShare {
    PositiveShare::try_from(0.2).expect("a fifth is a share")
}

fn a_tenth() -> Portion {
    Portion::try_from(0.1).expect("a tenth is a portion")
}

fn ten() -> usize {
    10
}

struct PAnnealing {
    lambda: f64,
    start: f64,
    /// The sums before the first update, and after each.
    powers: Vec<PowerSum>,
}

/// Σ max(h, [`FLOOR`])^p over h > 0.
#[derive(Clone, Copy)]
struct PowerSum {
    p: f64,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "p-annealing",
    about: "lambda times an L_p norm of the code, whose p falls from 1 while a model trains",
    example: "lambda = 0.1",
    build: |settings| {
        let PAnnealingSettings { lambda, p_end, start, updates } = settings.read()?;
        if updates == 0 || updates > MOST_UPDATES {
            let message = format!("expected from 1 to {MOST_UPDATES} updates, got {updates}");
            return Err(vec![settings.problem("updates", message)]);
        }
        let p = |update: usize| 1.0 - (1.0 - p_end.get()) * update as f64 / updates as f64;
        let powers = (0..=updates).map(|update| PowerSum { p: p(update) }).collect();
        Ok(Box::new(PAnnealing { lambda: lambda.get(), start: start.get(), powers }))
    },
    schema: schema_of::<PAnnealingSettings>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["lp", "lp-norm", "p-annealed"],
    meant: Meant::Plugin { kind: "penalty", name: "p-annealing" },
    about: "the penalty `p-annealing` takes the sum of powers of codes, and its power falls from 1 to `p_end`",
    lines: "[penalty]\n\
            kind = \"p-annealing\"\n\
            lambda = 0.1\n\
            p_end = 0.2",
};

impl PAnnealing {
    /// Number of updates.
    fn updates(&self) -> usize {
        self.powers.len() - 1
    }

    /// Number of the step that an update happens before, of a training of `steps` steps. Updates count from 1.
    fn step_of(&self, update: usize, steps: usize) -> usize {
        let done = (update - 1) as f64 / self.updates() as f64;
        // The small number keeps a product like 0.7 · 10 from losing a step to rounding.
        ((self.start + (1.0 - self.start) * done) * steps as f64 + 1e-9).floor() as usize
    }

    /// Number of updates before a step.
    fn done(&self, step: &Step<'_>) -> usize {
        let is_done = |update: &usize| self.step_of(*update, step.steps) <= step.number;
        (1..=self.updates()).take_while(is_done).count()
    }

    /// The updates whose windows a step is in.
    fn updates_ahead(&self, step: &Step<'_>) -> impl Iterator<Item = usize> {
        let is_near = |update: &usize| self.step_of(*update, step.steps) <= step.number + WINDOW;
        (self.done(step) + 1..=self.updates()).take_while(is_near)
    }
}

impl PowerSum {
    fn value(self, h: f64) -> f64 {
        if h > 0.0 { h.max(FLOOR).powf(self.p) } else { 0.0 }
    }
}

impl<E: Real> Penalize<E> for PAnnealing {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let PowerSum { p } = self.powers[self.done(&pass.step)];
        let shape = *code.shape();
        let is_active = |h: &E| E::of(f64::from(h.f64() > 0.0));
        let active = tensor(values(&code).iter().map(is_active).collect(), shape);
        let powers = code.clamp(FLOOR, f64::MAX).powf(p) * active;
        let value = powers.sum::<Rank0, _>() * E::of(1.0 / shape.0.0 as f64);
        vec![Term::new("p_annealing", value, self.lambda)]
    }
}

impl Penalty for PAnnealing {
    fn is_soft(&self) -> bool {
        true
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("lambda"))
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Relu)
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        if code.range == CodeRange::NonNegative {
            return Ok(());
        }
        let message = "it takes powers of codes that are at least 0 and often are 0, so it needs \
                       `activation = \"relu\"`";
        Err(Unfit::new("kind", message))
    }

    fn fused(&self, step: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        let term = &self.powers[self.done(step)];
        Some(FusedPenalty::PerSample { name: "p_annealing", weight: self.lambda, term })
    }

    fn state(&self, _: Latent) -> State {
        State::from([(SUMS.to_owned(), vec![0.0; 2 * self.updates()])])
    }

    /// The product, over the updates that were, of the ratio of the sums before and after.
    fn weight_factor(&self, step: &Step<'_>, state: OwnState<'_>) -> f64 {
        let sums = state.get(SUMS);
        let of_updates = sums.chunks_exact(2).take(self.done(step));
        let seen = of_updates.filter(|sums| sums.iter().all(|sum| *sum > 0.0));
        seen.map(|sums| sums[0] / sums[1]).product()
    }

    fn observe(&self, step: &Step<'_>, state: OwnState<'_>, codes: &dyn Fn() -> OwnedCodes) {
        let mut ahead = self.updates_ahead(step).peekable();
        if step.mode != Mode::Train || ahead.peek().is_none() {
            return;
        }
        let codes = codes();
        let codes = codes.view();
        let mean = |power: PowerSum| {
            let mut sum = 0.0;
            codes.for_each_nonzero(|_, _, h| sum += power.value(f64::from(h)));
            sum / codes.rows().max(1) as f64
        };
        let mut sums = state.get(SUMS);
        for update in ahead {
            sums[2 * (update - 1)] += mean(self.powers[update - 1]);
            sums[2 * (update - 1) + 1] += mean(self.powers[update]);
        }
    }
}

impl PerSample for PowerSum {
    fn value(&self, code: SampleCode<'_>, gradient: &mut [f32]) -> f64 {
        let (p, floor) = (self.p as f32, FLOOR as f32);
        let powers = gradient.iter_mut().zip(code.values);
        powers.for_each(|(power, h)| *power = if *h > floor { h.powf(p) } else { 0.0 });
        // What is at most the floor counts as much as it.
        let least = code.values.iter().filter(|h| **h > 0.0 && **h <= floor).count();
        let sum = sum_of(gradient, |power| power) + least as f64 * FLOOR.powf(self.p);
        let slopes = gradient.iter_mut().zip(code.values);
        slopes.for_each(|(slope, h)| *slope = if *h > floor { p * *slope / h } else { 0.0 });
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn built(start: f64, p_end: f64, updates: usize) -> PAnnealing {
        let p = |update: usize| 1.0 - (1.0 - p_end) * update as f64 / updates as f64;
        let powers = (0..=updates).map(|update| PowerSum { p: p(update) }).collect();
        PAnnealing { lambda: 1.0, start, powers }
    }

    fn at(number: usize, steps: usize) -> Step<'static> {
        let progress = number as f64 / steps as f64;
        Step { mode: Mode::Train, number, progress, steps, ..Step::EVALUATE }
    }

    fn p_at(penalty: &PAnnealing, number: usize, steps: usize) -> f64 {
        penalty.powers[penalty.done(&at(number, steps))].p
    }

    /// Wrong if an update came a step early or late, or p fell in unequal parts.
    #[test]
    fn p_falls_in_equal_updates_over_the_steps_after_the_start() {
        let penalty = built(0.1, 0.2, 10);
        // Of 100 steps, before steps 10, 19, 28, ..., 91.
        for (number, updates) in [(0, 0), (9, 0), (10, 1), (18, 1), (19, 2), (90, 9), (91, 10)] {
            let p = p_at(&penalty, number, 100);
            assert!((p - (1.0 - 0.08 * f64::from(updates))).abs() < 1e-12, "step {number}: {p}");
        }
        // Where there are fewer steps than updates, several come at once.
        assert!((p_at(&penalty, 2, 4) - 0.36).abs() < 1e-12);
        assert!((p_at(&penalty, 3, 4) - 0.2).abs() < 1e-12);
        assert_eq!(p_at(&built(0.5, 0.5, 1), 4, 10), 1.0);
        assert_eq!(p_at(&built(0.5, 0.5, 1), 5, 10), 0.5);
        assert_eq!(p_at(&built(0.7, 0.5, 1), 7, 10), 0.5, "0.7 times 10 is 7");
    }

    /// Wrong if the term jumped where p falls, or steps other than the last ten before it counted.
    #[test]
    fn the_weight_keeps_the_term_where_it_was() {
        let penalty = built(0.5, 0.5, 1);
        let state = RefCell::new(penalty.state(Latent(2)));
        let own = OwnState::of_penalty(&state);
        let see = |number: usize, values: [f32; 4]| {
            let codes = || OwnedCodes::Dense { latents: 2, values: values.to_vec() };
            penalty.observe(&at(number, 40), own, &codes);
        };
        (0..10).for_each(|number| see(number, [100.0; 4]));
        (10..20).for_each(|number| see(number, [4.0, 0.0, 0.0, 9.0]));
        (20..40).for_each(|number| see(number, [100.0; 4]));
        assert_eq!(penalty.weight_factor(&at(19, 40), own), 1.0);
        // Σ h = 13 and Σ √h = 5.
        assert!((penalty.weight_factor(&at(20, 40), own) - 13.0 / 5.0).abs() < 1e-12);
        assert_eq!(state.borrow()[SUMS], [65.0, 25.0]);
    }

    /// Wrong if silent codes made the weight infinite, or as many steps as there were did not do.
    #[test]
    fn silent_codes_leave_the_weight_alone_and_few_steps_are_enough() {
        let penalty = built(0.0, 0.5, 2);
        let state = RefCell::new(penalty.state(Latent(1)));
        let own = OwnState::of_penalty(&state);
        let silent = || OwnedCodes::Dense { latents: 1, values: vec![0.0] };
        penalty.observe(&at(0, 8), own, &silent);
        assert_eq!(penalty.weight_factor(&at(4, 8), own), 1.0);
        let active = || OwnedCodes::Dense { latents: 1, values: vec![16.0] };
        penalty.observe(&at(1, 8), own, &active);
        // The first update was before the first step; the second takes p from 0.75 to 0.5.
        assert!((penalty.weight_factor(&at(4, 8), own) - 2.0).abs() < 1e-12);
    }

    /// Wrong if the slope were unbounded near 0, or what is below the floor counted for nothing.
    #[test]
    fn below_the_floor_a_value_counts_as_much_as_it_and_has_no_slope() {
        let term = PowerSum { p: 0.5 };
        let mut slopes = [f32::NAN; 5];
        let values = [0.0, 1e-8, 1e-6, 4.0, 0.25];
        let code = SampleCode { values: &values, latents: None, size: 5 };
        let sum = PerSample::value(&term, code, &mut slopes);
        assert!((sum - (2.0 * 1e-3 + 2.0 + 0.5)).abs() < 1e-6, "{sum}");
        assert_eq!(slopes[..3], [0.0; 3]);
        assert!((slopes[3] - 0.25).abs() < 1e-6 && (slopes[4] - 1.0).abs() < 1e-6);
    }
}
