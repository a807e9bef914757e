//! Generators of small runs and of their interruptions.

use framework::engine::EngineKind;
use framework::plugin::{PENALTIES, Penalty, Plugin, sorted};
use proptest::prelude::*;

/// An attempt that does not finish the run.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Number of steps it does; fewer where fewer are left.
    pub does: usize,
    /// Number of steps after which it keeps a checkpoint, if it gets there.
    pub kept_after: usize,
    /// How it ends.
    pub end: End,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It stops, with a checkpoint.
    Stopped,
    /// It is measured, with a checkpoint.
    Paused,
    /// It is killed: everything after its checkpoint is lost.
    Killed,
}

/// Everything about a run but its penalty and its engine.
#[derive(Clone, Debug)]
pub struct Case {
    pub dataset: String,
    pub architecture: String,
    pub auxiliary: &'static str,
    pub corruption: &'static str,
    pub train: String,
    pub objective: &'static str,
    pub evaluate: String,
    pub precision: &'static str,
    pub threads: usize,
    pub cuts: Vec<Cut>,
}

impl Case {
    pub fn text(&self, penalty: &str, engine: EngineKind) -> String {
        let Self { dataset, architecture, train, evaluate, precision, .. } = self;
        // Terms of the encoder's Jacobian or of the dictionary fit dense models alone.
        let is_dense = architecture.contains("kind = \"dense\"");
        let needs_dense = ["contractive", "norm_weighted", "resample"]
            .iter()
            .any(|word| self.auxiliary.contains(word));
        let auxiliary = if needs_dense && !is_dense { "" } else { self.auxiliary };
        let corruption = self.corruption;
        let has_it = engine.precisions.iter().any(|known| serde_json::json!(known) == *precision);
        let is_able = architecture.contains("decoder = \"sigmoid\"");
        let is_asked = self.objective == "cross-entropy";
        let objective = if is_asked && !is_able { "absolute" } else { self.objective };
        let (engine, precision) = (engine.name, if has_it { *precision } else { "f32" });
        format!(
            "name = \"checkpoints\"\nauxiliary = [{auxiliary}]\n[dataset]\n{dataset}[architecture]\n{architecture}\
             [penalty]\n{penalty}\n{corruption}[train]\n{train}engine = \"{engine}\"\n\
             objective = \"{objective}\"\nprecision = \"{precision}\"\n[evaluate]\n{evaluate}"
        )
    }
}

fn dense() -> impl Strategy<Value = String> {
    let activation = prop::sample::select(vec!["identity", "relu", "sigmoid", "tanh"]);
    (2..=40_usize, activation, any::<[bool; 4]>()).prop_map(|(latents, activation, flags)| {
        let [tied, sigmoid, subtract, unit_norm] = flags;
        let decoder = if sigmoid { "sigmoid" } else { "linear" };
        format!(
            "kind = \"dense\"\nlatents = {latents}\nactivation = \"{activation}\"\ntied = {tied}\n\
             decoder = \"{decoder}\"\nsubtract_decoder_bias = {subtract}\nunit_norm = {unit_norm}\n"
        )
    })
}

fn two_layer() -> impl Strategy<Value = String> {
    (2..=9_usize, prop::sample::select(vec!["first", "second"])).prop_map(|(latents, code)| {
        format!("kind = \"two-layer\"\nlatents = {latents}\ncode = \"{code}\"\n")
    })
}

fn deep() -> impl Strategy<Value = String> {
    let activations = || prop::sample::select(vec!["identity", "relu", "sigmoid", "tanh"]);
    let hidden = prop::sample::select(vec!["[3]", "[5, 4]"]);
    let settings = (2..=9_usize, hidden, activations(), activations(), 0..=1_usize);
    (settings, any::<[bool; 2]>()).prop_map(|(settings, [tied, sigmoid])| {
        let (latents, hidden, activation, of_hidden, epochs) = settings;
        let decoder = if sigmoid { "sigmoid" } else { "linear" };
        format!(
            "kind = \"deep\"\nlatents = {latents}\nhidden = {hidden}\nactivation = \"{activation}\"\n\
             hidden_activation = \"{of_hidden}\"\ntied = {tied}\ndecoder = \"{decoder}\"\n\
             pretrain_epochs = {epochs}\n"
        )
    })
}

fn variational() -> impl Strategy<Value = String> {
    let hidden = prop::sample::select(vec!["[]", "[3]", "[5, 4]"]);
    (2..=9_usize, hidden).prop_map(|(latents, hidden)| {
        format!("kind = \"variational\"\nlatents = {latents}\nhidden = {hidden}\n")
    })
}

fn noisy_code() -> impl Strategy<Value = String> {
    (2..=9_usize).prop_map(|latents| format!("kind = \"noisy-code\"\nlatents = {latents}\n"))
}

fn dataset() -> impl Strategy<Value = String> {
    let normalize = prop::sample::select(vec!["none", "center", "standard", "unit-norm"]);
    (2..=40_usize, 5..=40_usize, normalize).prop_map(|(inputs, train, normalize)| {
        format!(
            "kind = \"waves\"\nlabels = true\ninputs = {inputs}\ntrain = {train}\ntest = 7\n\
             normalize = \"{normalize}\"\n"
        )
    })
}

fn train_section() -> impl Strategy<Value = String> {
    let optimizer = prop::sample::select(vec![
        "{ kind = \"adam\", lr = 1e-2 }",
        "{ kind = \"sgd\", lr = 1e-3 }",
        "{ kind = \"sgd\", lr = 1e-3, momentum = 0 }",
    ]);
    let schedule = prop::sample::select(vec![
        "{ kind = \"constant\" }",
        "{ kind = \"constant\", warmup_steps = 5 }",
        "{ kind = \"cosine\", warmup_steps = 2, end = 0.1 }",
    ]);
    let length = prop_oneof![
        (1..=4_usize).prop_map(|epochs| format!("epochs = {epochs}")),
        (1..=15_usize).prop_map(|steps| format!("steps = {steps}")),
    ];
    let order = prop::sample::select(vec!["shuffled", "stratified"]);
    (length, 2..=20_usize, order, optimizer, schedule).prop_map(
        |(length, batch, order, optimizer, schedule)| {
            format!(
                "{length}\nbatch = {batch}\nbatches = \"{order}\"\noptimizer = {optimizer}\n\
                 schedule = {schedule}\ndead_after = {batch}\n"
            )
        },
    )
}

fn evaluate_section() -> impl Strategy<Value = String> {
    (1..=3_usize, 1..=9_usize).prop_map(|(every, batch)| {
        format!(
            "kinds = [\"reconstruction\", \"sparsity\", \"peak\"]\nevery = {every}\nbatch = {batch}\n"
        )
    })
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let does = prop_oneof![3 => 1..=6_usize, 1 => Just(usize::MAX / 2)];
    let end = prop::sample::select(vec![End::Stopped, End::Paused, End::Killed]);
    let cut = (does, 0..=6_usize, end);
    let cut = cut.prop_map(|(does, kept_after, end)| Cut { does, kept_after, end });
    prop::collection::vec(cut, 1..=4)
}

pub fn cases() -> impl Strategy<Value = Case> {
    let architecture = prop_oneof![
        3 => dense(), 1 => deep(), 1 => variational(), 1 => two_layer(), 1 => noisy_code()
    ];
    let sections = (dataset(), architecture, train_section(), evaluate_section());
    let corruption = prop::sample::select(vec![
        "",
        "[corruption]\nkind = \"gaussian\"\nsigma = 0.3\n",
        "[corruption]\nkind = \"salt\"\nrate = 0.2\n",
        "[corruption]\nkind = \"masking\"\nrate = 0.3\nrescale = true\n",
    ]);
    let auxiliary = prop::sample::select(vec![
        "",
        "{ kind = \"weight-decay\", lambda = 0.1, norm = \"l1\", decoupled = true }",
        "{ kind = \"l1\", lambda = 0.1 }, { kind = \"revive\", every = 2 }",
        "{ kind = \"auxk\", k = 3 }, { kind = \"resample\", every = 2, until = 9 }",
        "{ kind = \"contractive\", lambda = 0.1 }, { kind = \"class-group-lasso\", lambda = 0.1 }",
        "{ kind = \"l1\", lambda = 0.1, norm_weighted = true }, \
         { kind = \"sparse-group-lasso\", lambda = 0.1, group_lambda = 0.1, group_size = 1 }",
    ]);
    let precision = prop::sample::select(vec!["f32", "bf16"]);
    let objective = prop::sample::select(vec!["squared", "absolute", "cross-entropy"]);
    let settings = (auxiliary, corruption, objective, precision);
    (sections, settings, 1..=2_usize, cuts()).prop_map(
        |((dataset, architecture, train, evaluate), settings, threads, cuts)| Case {
            dataset,
            architecture,
            auxiliary: settings.0,
            corruption: settings.1,
            train,
            objective: settings.2,
            evaluate,
            precision: settings.3,
            threads,
            cuts,
        },
    )
}

/// Every registered penalty by its example, a schedule of a penalty's own, and a penalty of decoder rows.
pub fn penalties() -> Vec<String> {
    let example =
        |plugin: &&Plugin<dyn Penalty>| format!("kind = \"{}\"\n{}", plugin.name, plugin.example);
    let mut all: Vec<_> = sorted(&PENALTIES).iter().map(example).collect();
    all.push("kind = \"k-sparse\"\nk = 1\nk_start = 2".to_owned());
    all.push("kind = \"l1\"\nlambda = 0.1\nnorm_weighted = true".to_owned());
    all
}
