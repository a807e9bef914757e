//! The gradient of every architecture with every penalty that fits it.

use framework::model::Definition;
use framework::plugin::{
    ARCHITECTURES, Architecture, Built, CodeFacts, NamedAuxiliary, PENALTIES, Penalty, PluginRow,
    sorted,
};
use framework::spec::TrainObjective;
use proptest::array::{uniform4, uniform8, uniform16};
use proptest::prelude::*;

use super::gradient_check::{Subject, check};
use crate::support::models::{architecture, auxiliaries, penalty, shape_of};
use crate::support::strategies::{Sizes, config, sizes};

/// How often each configuration is checked, on models of other sizes each time.
const CASES: u32 = 3;

/// Penalties to try on codes of `latents`: every registered one as its example has it, and further settings
/// that change the formula.
fn penalties(latents: usize) -> Vec<Built<dyn Penalty>> {
    let example = |plugin: &&'static framework::plugin::Plugin<dyn Penalty>| {
        plugin
            .example("".as_ref())
            .unwrap_or_else(|problems| panic!("{}: {problems:?}", plugin.name))
    };
    let mut penalties: Vec<Built<dyn Penalty>> = sorted(&PENALTIES).iter().map(example).collect();
    let half = latents / 2;
    for text in [
        "kind = \"l1\"\nlambda = 2".to_owned(),
        "kind = \"l1\"\nlambda = 1\nnorm_weighted = true".to_owned(),
        "kind = \"class-group-lasso\"\nlambda = 2".to_owned(),
        format!(
            "kind = \"sparse-group-lasso\"\nlambda = 0.5\ngroup_lambda = 1\ngroup_size = {half}\n\
             scale_by_size = true"
        ),
        "kind = \"kl\"\nrho = 0.3\nbeta = 1.5".to_owned(),
        "kind = \"k-sparse\"\nk = 1".to_owned(),
        format!("kind = \"k-sparse\"\nk = {half}\nk_start = {latents}"),
        format!("kind = \"k-sparse\"\nk = {latents}"),
        format!("kind = \"group-lasso\"\nlambda = 1\ngroup_size = {half}"),
        format!("kind = \"group-lasso\"\nlambda = 1\ngroup_size = {latents}\nscale_by_size = true"),
        "kind = \"batch-top-k\"\nk = 0.7".to_owned(),
        format!("kind = \"batch-top-k\"\nk = {latents}"),
        "kind = \"matryoshka\"\nk = 1.5\nfractions = [0.01, 0.6, 1.0]\naverage = false".to_owned(),
        "kind = \"matryoshka\"\nk = 1\nfractions = [1.0]".to_owned(),
        format!("kind = \"abs-top-k\"\nk = {half}"),
        "kind = \"p-annealing\"\nlambda = 1\np_end = 0.7".to_owned(),
        "kind = \"jump-relu\"\nlambda = 0.5\nbandwidth = 1".to_owned(),
        "kind = \"jump-relu\"\nlambda = 0.5\nbandwidth = 1\nform = \"tanh\"".to_owned(),
        "kind = \"jump-relu\"\nlambda = 0.5\nbandwidth = 1.5\nform = \"target\"\ntarget_l0 = 0.7"
            .to_owned(),
        "kind = \"soft-threshold\"\nlambda = 1\nwidth = 0.5".to_owned(),
    ] {
        penalties.push(penalty(&text));
    }
    penalties
}

fn facts(architecture: &dyn Architecture) -> CodeFacts {
    let (latents, range) = (architecture.latents(), architecture.code_range());
    CodeFacts { latents, range, classes: 2, offers: architecture.offers() }
}

/// Objectives that an architecture can be trained on.
fn objectives(architecture: &dyn Architecture) -> Vec<TrainObjective> {
    let fits =
        |of: &TrainObjective| *of != TrainObjective::CrossEntropy || architecture.ends_in_sigmoid();
    TrainObjective::ALL.into_iter().filter(fits).collect()
}

/// Checks an architecture with every penalty that fits, each on one of its objectives, and returns the number
/// of penalties.
fn check_with_penalties(built: &Built<dyn Architecture>, sizes: Sizes) -> Result<usize, String> {
    let architecture = &*built.plugin;
    let (objectives, mut checked) = (objectives(architecture), 0);
    for penalty in penalties(architecture.latents()) {
        if penalty.plugin.fits(&facts(architecture)).is_err() {
            continue;
        }
        let settings = |all: serde_json::Map<String, serde_json::Value>| {
            serde_json::Value::Object(all).to_string()
        };
        let objective = objectives[(sizes.seed as usize + checked) % objectives.len()];
        let name = format!(
            "{} {} with {} {} on {objective:?}",
            built.kind,
            settings(built.resolved().all),
            penalty.kind,
            settings(penalty.resolved().all)
        );
        let (batch, inputs) = (sizes.batch, sizes.inputs);
        let definition =
            Definition { objective, ..Definition::new(architecture, &*penalty.plugin) };
        let subject = Subject { name, definition, batch, inputs };
        check(&subject, sizes.seed).map_err(|failure| failure.to_string())?;
        checked += 1;
    }
    Ok(checked)
}

/// Checks an architecture with every list of auxiliaries that fits, beside a penalty whose terms and
/// constraint all of them must get along with.
fn check_with_auxiliaries(
    built: &Built<dyn Architecture>,
    sizes: Sizes,
) -> Result<(), TestCaseError> {
    let architecture = &*built.plugin;
    let mut lists: Vec<String> = kinds_of_auxiliaries();
    lists.push("{ kind = \"weight-decay\", lambda = 0.3, norm = \"l1\", of = \"encoder\" }".into());
    lists.push(
        "{ kind = \"weight-decay\", lambda = 0.2, of = \"decoder\" }, { kind = \"l1\", lambda = 0.4 }, \
         { kind = \"l1\", lambda = 0.1 }, { kind = \"weight-decay\", lambda = 0.1, decoupled = true }"
            .into(),
    );
    for settings in ["k = 1", "k = 1, weight = 0.5, normalize = false", "weight = 2"] {
        lists.push(format!("{{ kind = \"auxk\", {settings} }}"));
    }
    for list in lists {
        let section = auxiliaries(&format!("[{list}]"));
        let fits = |auxiliary: &NamedAuxiliary| auxiliary.built.plugin.fits(&facts(architecture));
        if section.value.iter().any(|auxiliary| fits(auxiliary).is_err()) {
            continue;
        }
        let penalty = penalty("kind = \"none\"");
        let definition = Definition {
            auxiliaries: &section.value,
            ..Definition::new(architecture, &*penalty.plugin)
        };
        let name = format!("{} with {list}", built.kind);
        let (batch, inputs) = (sizes.batch, sizes.inputs);
        let subject = Subject { name, definition, batch, inputs };
        check(&subject, sizes.seed).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
    }
    Ok(())
}

/// Every auxiliary that is registered, and every soft penalty, as its example has it.
fn kinds_of_auxiliaries() -> Vec<String> {
    let kinds = framework::plugin::kinds();
    let rows = kinds.into_iter().find(|(kind, _)| *kind == "auxiliary").expect("a kind").1;
    let entry = |row: PluginRow| {
        format!("{{ kind = \"{}\", {} }}", row.name, row.example.replace('\n', ", "))
    };
    rows.into_iter().map(entry).collect()
}

/// Every dense architecture with this activation, each in a size of its own.
fn check_dense(activation: &str, sizes: [Sizes; 8]) -> Result<(), TestCaseError> {
    for (at, sizes) in sizes.into_iter().enumerate() {
        let [tied, subtract, sigmoid] = [1, 2, 4].map(|bit| at & bit != 0);
        let decoder = if sigmoid { "sigmoid" } else { "linear" };
        let latents = sizes.latents;
        let built = architecture(&format!(
            "kind = \"dense\"\nlatents = {latents}\nactivation = \"{activation}\"\n\
             tied = {tied}\ndecoder = \"{decoder}\"\nsubtract_decoder_bias = {subtract}"
        ));
        let checked = check_with_penalties(&built, sizes).map_err(TestCaseError::fail)?;
        prop_assert!(checked >= 8, "only {checked} penalties fit {activation} codes");
    }
    Ok(())
}

/// Codes of deep architectures with each activation after every hidden one, in sizes of their own.
fn deep(sizes: [Sizes; 16]) -> impl Iterator<Item = (Built<dyn Architecture>, Sizes)> {
    let activations = ["identity", "relu", "sigmoid", "tanh"];
    sizes.into_iter().enumerate().map(move |(at, sizes)| {
        let (activation, of_hidden) = (activations[at / 4], activations[at % 4]);
        // Each of these depends on the seed: together they come to all there is.
        let [tied, sigmoid] = [1, 2].map(|bit| (sizes.seed ^ at as u64) & bit != 0);
        let decoder = if sigmoid { "sigmoid" } else { "linear" };
        // Behind several sigmoids, gradients are too flat to be judged.
        let lists: &[&str] = match of_hidden {
            "sigmoid" => &["[]", "[3]"],
            _ => &["[]", "[3]", "[5, 4]", "[2, 3, 4]"],
        };
        let hidden = lists[(sizes.seed / 4) as usize % lists.len()];
        let latents = sizes.latents;
        let built = architecture(&format!(
            "kind = \"deep\"\nhidden = {hidden}\nlatents = {latents}\nactivation = \"{activation}\"\n\
             hidden_activation = \"{of_hidden}\"\ntied = {tied}\ndecoder = \"{decoder}\""
        ));
        (built, sizes)
    })
}

proptest! {
    #![proptest_config(config(CASES))]

    /// Deep codes of every activation after every other, with every penalty that fits them.
    #[test]
    fn of_deep_codes(sizes in uniform16(sizes())) {
        for (built, sizes) in deep(sizes) {
            let checked = check_with_penalties(&built, sizes).map_err(TestCaseError::fail)?;
            prop_assert!(checked >= 8, "only {checked} penalties fit");
        }
    }

    /// Every auxiliary on the same codes.
    #[test]
    fn of_auxiliaries_of_deep_codes(sizes in uniform16(sizes())) {
        for (built, sizes) in deep(sizes) {
            check_with_auxiliaries(&built, sizes)?;
        }
    }

    /// Dense identity codes, with every penalty that fits them.
    #[test]
    fn of_dense_identity_codes(sizes in uniform8(sizes())) {
        check_dense("identity", sizes)?;
    }

    /// Dense relu codes, with every penalty that fits them.
    #[test]
    fn of_dense_relu_codes(sizes in uniform8(sizes())) {
        check_dense("relu", sizes)?;
    }

    /// Dense sigmoid codes, with every penalty that fits them.
    #[test]
    fn of_dense_sigmoid_codes(sizes in uniform8(sizes())) {
        check_dense("sigmoid", sizes)?;
    }

    /// Dense tanh codes, with every penalty that fits them.
    #[test]
    fn of_dense_tanh_codes(sizes in uniform8(sizes())) {
        check_dense("tanh", sizes)?;
    }

    /// Every auxiliary, on dense codes of every activation, tied and untied.
    #[test]
    fn of_auxiliaries(sizes in uniform8(sizes())) {
        let activations = ["identity", "relu", "sigmoid", "tanh"].into_iter().cycle();
        for (at, (sizes, activation)) in sizes.into_iter().zip(activations).enumerate() {
            let (tied, latents) = (at < 4, sizes.latents);
            let built = architecture(&format!(
                "kind = \"dense\"\nlatents = {latents}\nactivation = \"{activation}\"\ntied = {tied}"
            ));
            check_with_auxiliaries(&built, sizes)?;
        }
    }

    /// Two hidden layers, either code open to every penalty that fits it.
    #[test]
    fn of_two_layers(sizes in uniform4(sizes())) {
        for (sizes, code) in sizes.into_iter().zip(["first", "second", "first", "second"]) {
            let latents = sizes.latents;
            let text = format!("kind = \"two-layer\"\nlatents = {latents}\ncode = \"{code}\"");
            check_with_penalties(&architecture(&text), sizes).map_err(TestCaseError::fail)?;
        }
    }

    /// Every registered architecture as its example has it, with every registered penalty: future plugins are
    /// covered too.
    #[test]
    fn of_every_registered_architecture(sizes in sizes()) {
        for plugin in sorted(&ARCHITECTURES) {
            let built = plugin.example("".as_ref());
            let built = built.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
            // 9 numbers are an image of 3 x 3 pixels, which some architectures need.
            let fits = built.plugin.fits(&shape_of(sizes.inputs)).is_ok();
            let sizes = Sizes { inputs: if fits { sizes.inputs } else { 9 }, ..sizes };
            check_with_penalties(&built, sizes).map_err(TestCaseError::fail)?;
            check_with_auxiliaries(&built, sizes)?;
        }
    }
}

/// Every registered penalty fits some architecture, so that none stays unchecked.
#[test]
fn every_penalty_fits_some_architecture() {
    for plugin in sorted(&PENALTIES) {
        let penalty = plugin.example("".as_ref()).unwrap();
        let fits = ["identity", "relu", "sigmoid", "tanh"].iter().any(|activation| {
            let text = format!("kind = \"dense\"\nlatents = 4\nactivation = \"{activation}\"");
            penalty.plugin.fits(&facts(&*architecture(&text).plugin)).is_ok()
        });
        assert!(fits, "`{}` fits no dense code of 4 latents", plugin.name);
    }
}
