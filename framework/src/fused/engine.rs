//! The fused engine as the rest of the program sees it.

use std::borrow::Cow;

use super::penalties::{ByHand, PassTerms};
use super::{Fused, Moments};
use crate::engine::{Costs, Engine, EngineKind, Forward, Minibatch, Numbers, StepLoss};
use crate::model::{Definition, Mode, Parameters, PassAt, Side, Step};
use crate::plugin::{
    FusedAuxiliary, FusedPenalty, LevelMap, NamedAuxiliary, OwnedCodes, PerColumn, SampleShape,
};
use crate::spec::{Optimizer, Precision};

/// Architectures of dense layers and convolutions, with penalties and auxiliaries of codes and of weights.
pub const FUSED: EngineKind = EngineKind {
    name: "fused",
    about: "Hand-written kernels.",
    covers,
    precisions: &[Precision::F32, Precision::Bf16],
    make,
    // Values, two moments and the copy that is stored; the code with its gradients; samples and
    // reconstructions.
    costs: Costs { copies: 4.0, codes: 3.0, listed_codes: Some(0.5), samples: 3.0, rate: 80e9 },
};

const ROWS_BESIDE_TAPE: &str =
    "the fused engine trains terms of decoder rows only where all else of the code is by hand";

const GATES_BESIDE_TAPE: &str =
    "the fused engine trains gates only beside terms by hand, of the code that they make";

const THRESHOLDS_BESIDE_TAPE: &str =
    "the fused engine trains thresholds of codes only where all else of the code is by hand";

fn covers(definition: &Definition<'_>) -> Result<(), &'static str> {
    let Definition { architecture, penalty, auxiliaries, .. } = definition;
    let Some(form) = architecture.layers() else {
        return Err("the fused engine trains architectures of dense layers and convolutions");
    };
    let step = Step { mode: Mode::Train, ..Step::EVALUATE };
    let latents = definition.latents();
    let is_of_encoder = |NamedAuxiliary { built, .. }: &NamedAuxiliary| {
        let fused = built.plugin.fused(&step, latents.0);
        matches!(fused, Some(FusedAuxiliary::PerColumn(_, term)) if term.row() == Some(Side::Encoder))
    };
    if form.levels.len() > 1 && auxiliaries.iter().any(is_of_encoder) {
        return Err("the fused engine knows the Jacobian of an encoder of one layer");
    }
    let is_of_dead = |NamedAuxiliary { built, .. }: &NamedAuxiliary| {
        let fused = built.plugin.fused(&step, latents.0);
        matches!(fused, Some(FusedAuxiliary::DeadLatents(_)))
    };
    let is_dense = form.levels.iter().all(|level| level.map == LevelMap::Dense);
    if !is_dense && auxiliaries.iter().any(is_of_dead) {
        return Err("the fused engine has dead latents decoded by dense layers alone");
    }
    if ByHand::of(definition, &step, 1.0, |_| 1.0).is_some() {
        return Ok(());
    }
    // Beside what is not by hand, terms of the code stand on the tape, where rows are not; those of the code
    // before it is constrained stay by hand.
    let has_rows = |term: &dyn PerColumn| term.row().is_some() && !term.is_before_constraint();
    let penalty_by_hand = match penalty.fused(&step, latents.0) {
        Some(FusedPenalty::PerColumn { term, .. }) => !has_rows(term),
        Some(FusedPenalty::Gates(_)) => return Err(GATES_BESIDE_TAPE),
        Some(FusedPenalty::Threshold { .. }) => return Err(THRESHOLDS_BESIDE_TAPE),
        by_hand => by_hand.is_some(),
    };
    let is_alone = penalty.is_of_code_alone() && penalty.parameters(latents).is_empty();
    if !penalty_by_hand && !is_alone {
        if penalty.fused(&step, latents.0).is_some() {
            return Err(ROWS_BESIDE_TAPE);
        }
        return Err(
            "the fused engine trains penalties of the code alone, without parameters of their own",
        );
    }
    let is_covered = |NamedAuxiliary { built, .. }: &NamedAuxiliary| {
        let auxiliary = &built.plugin;
        let is_alone = auxiliary.is_of_code_alone() && auxiliary.parameters(latents).is_empty();
        let by_hand = match auxiliary.fused(&step, latents.0) {
            Some(FusedAuxiliary::PerColumn(_, term)) => !has_rows(term),
            by_hand => by_hand.is_some(),
        };
        is_alone || by_hand
    };
    let is_by_hand = |one: &NamedAuxiliary| one.built.plugin.fused(&step, latents.0).is_some();
    if let Some(other) = auxiliaries.iter().find(|auxiliary| !is_covered(auxiliary)) {
        if is_by_hand(other) {
            return Err(ROWS_BESIDE_TAPE);
        }
        return Err(
            "the fused engine trains auxiliaries of codes and weights, without parameters of their own",
        );
    }
    Ok(())
}

fn make<'a>(
    definition: Definition<'a>,
    sample: SampleShape,
    parameters: Parameters<f32>,
) -> Box<dyn Engine + 'a> {
    let form = definition.architecture.layers();
    let form = form.expect("an engine is made of a model that it covers: this one has layers");
    let fused = Fused::new(form, sample, parameters, definition.objective, definition.l0_rule());
    Box::new(FusedEngine { definition, fused, moments: None })
}

struct FusedEngine<'a> {
    definition: Definition<'a>,
    fused: Fused,
    moments: Option<Moments>,
}

impl Engine for FusedEngine<'_> {
    fn kind(&self) -> EngineKind {
        FUSED
    }

    fn forward(&self, batch: Minibatch<'_>, at: PassAt<'_>) -> Forward {
        self.fused.forward(batch, PassTerms::of(&self.definition, at))
    }

    fn decode(&self, code: Vec<f32>) -> Vec<f32> {
        self.fused.decode(&code)
    }

    fn learn_with(&mut self, optimizer: Option<Optimizer>) {
        self.moments = optimizer.map(|optimizer| Moments::new(optimizer, &self.fused));
    }

    fn step(&mut self, batch: Minibatch<'_>, at: PassAt<'_>, factor: f64) -> StepLoss {
        let terms = PassTerms::of(&self.definition, at);
        self.fused.step(self.moments.as_mut(), batch, terms, factor)
    }

    fn clip_gradients(&mut self, limit: Option<f64>) {
        self.fused.clip_norm = limit;
    }

    fn parameters(&self) -> Cow<'_, Parameters<f32>> {
        Cow::Owned(self.fused.parameters())
    }

    fn into_parameters(self: Box<Self>) -> Parameters<f32> {
        self.fused.parameters()
    }

    fn first_moments(&self) -> Option<Parameters<f32>> {
        Some(self.moments.as_ref()?.first(&self.fused))
    }

    fn numbers(&mut self) -> Numbers<'_> {
        Moments::numbers(self.moments.as_mut(), &mut self.fused)
    }

    fn refresh(&mut self) {
        self.fused.refresh();
    }

    fn reset_moments(&mut self, latents: &[usize]) {
        if let Some(moments) = &mut self.moments {
            moments.reset(latents);
        }
    }

    fn of_latents(&self, latents: &[usize]) -> Parameters<f32> {
        self.fused.of_latents(latents)
    }

    fn set_latents(&mut self, latents: &[usize], parameters: &Parameters<f32>) {
        self.fused.set_latents(latents, parameters);
    }

    fn mark_active(&self, active: &mut [bool]) {
        self.fused.mark_active(active);
    }

    fn last_codes(&self) -> OwnedCodes {
        self.fused.last_codes()
    }

    fn dictionary(&self) -> Option<Vec<f32>> {
        self.fused.dictionary()
    }

    fn is_finite(&self) -> bool {
        self.fused.is_finite()
    }

    fn precision(&self) -> Precision {
        self.fused.precision()
    }

    fn set_precision(&mut self, precision: Precision) {
        self.fused.set_precision(precision);
    }

    fn shift_encoder_bias(&mut self, shift: &[f32]) {
        self.fused.shift_encoder_bias(shift);
    }
}
