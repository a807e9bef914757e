//! The section `[corruption]`: ids, columns, mistakes, and what it does to training.

use framework::fit::check_run;
use framework::plugin::{CORRUPTIONS, SampleShape, sorted};
use framework::spec::RunSpec;
use framework::train::{Ended, Progress, train};

use crate::support::models::{data, runs};
use crate::support::program::{Place, columns, numbers};

/// A short experiment with more at its end.
fn text(more: &str) -> String {
    format!(
        "name = \"noisy\"\n[dataset]\nkind = \"waves\"\ninputs = 6\nnormalize = \"standard\"\n\
         [architecture]\nkind = \"dense\"\nlatents = 5\n[penalty]\nkind = \"l1\"\nlambda = 0.1\n\
         [evaluate]\nkinds = [\"reconstruction\"]\n{more}\n"
    )
}

fn only_run(more: &str) -> RunSpec {
    let (_, mut runs) = runs(&text(more));
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

/// Bits of the loss of each step, of the parameters and of the metrics at the end.
fn left(more: &str) -> (Vec<u64>, Vec<u32>, Vec<Option<f64>>) {
    let (experiment, runs) = runs(&text(more));
    let mut curve = Vec::new();
    let watch = &mut |at: &Progress| curve.push(at.loss.to_bits());
    let ended = train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, watch);
    let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
    let parameters = trained.model.parameters();
    let bits = parameters.entries.iter().flat_map(|entry| &entry.values);
    let bits = bits.map(|value| value.to_bits()).collect();
    (curve, bits, trained.measured.metrics.iter().map(|metric| metric.value).collect())
}

/// Wrong if runs of before there were corruptions were done again, or if two corruptions shared an id.
#[test]
fn only_a_corruption_that_says_something_enters_the_id() {
    let absent = only_run("");
    let none = only_run("[corruption]\nkind = \"none\"");
    assert_eq!(absent.id, none.id);
    assert_eq!(absent.settings(), none.settings());
    assert!(absent.settings().get("corruption").is_none());
    let gaussian =
        |sigma: f64| only_run(&format!("[corruption]\nkind = \"gaussian\"\nsigma = {sigma:?}"));
    let ids = [absent.id, gaussian(0.1).id, gaussian(0.2).id];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    let settings = serde_json::json!({ "kind": "gaussian", "sigma": 0.1 });
    assert_eq!(gaussian(0.1).settings()["corruption"], settings);
}

/// Wrong if axes or rules did not reach the section.
#[test]
fn a_corruption_is_an_axis() {
    let (_, whole) = runs(&text(
        "[grid]\ncorruption = [{ kind = \"none\" }, { kind = \"gaussian\", sigma = 0.1 }]\n\
         \"penalty.lambda\" = [0.1, 0.2]\n[[grid.exclude]]\n\"corruption.kind\" = \"none\"\n\
         \"penalty.lambda\" = 0.2",
    ));
    let kinds: Vec<&str> = whole.iter().map(|run| run.corruption.value.kind).collect();
    assert_eq!(kinds, ["none", "gaussian", "gaussian"]);
    let axis = "[corruption]\nkind = \"gaussian\"\n[grid]\n\"corruption.sigma\" = [0.1, 0.2]";
    let (_, runs) = runs(&text(axis));
    assert_eq!(runs.len(), 2);
}

/// Wrong if tables of experiments without a corruption had new columns, or those with one lacked them.
#[test]
fn columns_are_there_where_some_run_has_a_corruption() {
    let short = "[train]\nepochs = 1\n[grid]\n";
    let place = Place::with(
        &text(&format!(
            "{short}corruption = [{{ kind = \"none\" }}, {{ kind = \"gaussian\", sigma = 0.25 }}]"
        ))
        .replace("\"reconstruction\"", "\"reconstruction\", \"sparsity\""),
    );
    place.run_outside(["x.toml"]).exits(0);
    let table = place.table("noisy/runs");
    assert_eq!(numbers(&table, "corruption_sigma"), [None, Some(0.25)]);
    assert!(columns(&table).contains(&"corruption".to_owned()));
    let compared = place.run_outside(["compare", "results/noisy", "--by", "corruption"]).exits(0);
    let names = ["| none ", "| gaussian "];
    assert!(names.iter().all(|name| compared.out.contains(name)), "{compared}");

    let plain = Place::with(&text(&format!("{short}\"penalty.lambda\" = [0.1, 0.2]")));
    plain.run_outside(["x.toml"]).exits(0);
    let names = columns(&plain.table("noisy/runs"));
    assert!(!names.iter().any(|name| name.starts_with("corruption")), "{names:?}");
}

/// Wrong if the noise reached targets or evaluations, or not the encoder, in either engine. With no
/// learning rate to speak of, both runs end with nearly the parameters they start with.
#[test]
fn noise_is_put_on_what_is_encoded_in_training_alone() {
    for engine in ["fused", "reference"] {
        let with = |corruption: &str| {
            left(&format!(
                "[corruption]\n{corruption}\n[train]\nepochs = 2\nbatch = 16\nengine = \"{engine}\"\n\
                 optimizer = {{ kind = \"sgd\", lr = 1e-9 }}"
            ))
        };
        let clean = with("kind = \"none\"");
        let mut still = with("kind = \"gaussian\"\nsigma = 0");
        assert_eq!(still.2.pop(), Some(clean.2[0]), "{engine}: no noise, no other error");
        assert_eq!(clean, still, "{engine}: targets stay clean");
        let (curve, _, metrics) = with("kind = \"gaussian\"\nsigma = 1");
        assert!(curve.iter().zip(&clean.0).all(|(noisy, clean)| noisy != clean), "{engine}");
        for (noisy, clean) in metrics.iter().zip(&clean.2) {
            let (noisy, clean) = (noisy.unwrap_or(0.0), clean.unwrap_or(0.0));
            assert!((noisy - clean).abs() <= 1e-5 * clean.abs(), "{engine}: {noisy}, not {clean}");
        }
    }
}

/// Wrong if a mistake in the section were found after training began, or at no line.
#[test]
fn mistakes_are_refused_at_their_line() {
    for (section, parts) in [
        ("kind = \"gaussian\"", ["x.toml:17:8", "`sigma` is missing"]),
        ("kind = \"gaussian\"\nsigma = -1", ["x.toml:18:9", "expected a number of at least 0"]),
        ("kind = \"gausian\"\nsigma = 1", ["x.toml:17:8", "did you mean `gaussian`?"]),
        ("sigma = 1", ["x.toml:16:", "`corruption` needs a `kind`"]),
    ] {
        let place =
            Place::with(&format!("{}[corruption]\n{section}\n", text("[train]\nbatch = 8")));
        let said = place.run_outside(["x.toml"]).exits(2).complains(parts);
        assert!(!place.has_results(), "something was written:\n{said}");
    }
    for (dataset, section, parts) in [
        (
            "kind = \"waves\"",
            "share = 0.25",
            ["x.toml:5:8", "x.toml:1:20", "corruption `block`: kind: it needs images", "waves"],
        ),
        ("kind = \"waves\"", "where = \"lower-half\"", ["x.toml:5:8", "it needs images", "", ""]),
        ("kind = \"digits\"", "", ["x.toml:5:8", "give `share`", "", ""]),
        ("kind = \"digits\"", "share = 1", ["x.toml:6:9", "less than 1, got 1", "", ""]),
        ("kind = \"digits\"", "share = 1.5", ["x.toml:6:9", "less than 1, got 1.5", "", ""]),
        ("kind = \"digits\"", "where = \"lower\"", ["x.toml:6:9", "not one of lower-half", "", ""]),
        (
            "kind = \"digits\"",
            "share = 0.1\nwhere = \"lower-half\"",
            ["x.toml:7:9", "`share` and `where` exclude each other", "", ""],
        ),
        ("kind = \"digits\"", "rate = 0.1", ["x.toml:6:1", "rate", "share", "where"]),
    ] {
        let place = Place::with(&format!(
            "dataset = {{ {dataset} }}\nname = \"noisy\"\n\
             architecture = {{ kind = \"dense\", latents = 5 }}\n[corruption]\nkind = \"block\"\n{section}\n"
        ));
        place.run_outside(["x.toml"]).exits(2).complains(parts);
        assert!(!place.has_results(), "{section}");
    }
    for kind in ["masking", "salt-and-pepper"] {
        for rate in ["1", "1.5", "-0.1", "nan"] {
            let section = format!("[corruption]\nkind = \"{kind}\"\nrate = {rate}\n");
            let place = Place::with(&format!("{}{section}", text("[train]\nbatch = 8")));
            place.run_outside(["x.toml"]).exits(2).complains(["x.toml:18:8", "rate"]);
        }
    }
    let described = Place::new().run(["plugins", "corruption", "block"]).exits(0);
    assert!(described.out.contains("\"lower-half\""), "{described}");
    let single =
        text("[corruption]\nkind = \"salt\"\nrate = 0.5").replace("inputs = 6", "inputs = 1");
    let parts = ["x.toml:16:8", "a sample of one number would be all salt"];
    Place::with(&single).run_outside(["x.toml"]).exits(2).complains(parts);
}

/// Wrong if the error on corrupted samples had other noise than training has, depended on the run's seed or
/// on the size of batches, or were there in runs without a corruption.
#[test]
fn the_error_on_corrupted_test_samples_is_measured() {
    let metrics = |more: &str| {
        let (experiment, runs) = runs(&text(more));
        let ended =
            train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, &mut |_: &Progress| {});
        let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
        let history = trained.history.iter().map(|row| row.metrics.clone()).collect::<Vec<_>>();
        let value = |name: &str| {
            trained
                .measured
                .metrics
                .iter()
                .find(|one| one.name == name)
                .map(|one| one.value.unwrap())
        };
        let declared = trained.measured.declared.get("test_mse_corrupted").cloned();
        (value("test_mse"), value("test_mse_corrupted"), declared, history)
    };
    let still = "[train]\nepochs = 1\noptimizer = { kind = \"sgd\", lr = 1e-12 }";
    let (_, none, declared, _) = metrics(still);
    assert!(none.is_none() && declared.is_none());
    let with =
        |corruption: &str, more: &str| metrics(&format!("{more}\n[corruption]\n{corruption}\n"));
    let (clean, same, ..) = with("kind = \"gaussian\"\nsigma = 0", still);
    assert!((clean.unwrap() - same.unwrap()).abs() < 1e-9 && clean.is_some());
    let noisy = |sigma: f64, more: &str| {
        let (clean, noisy, declared, _) =
            with(&format!("kind = \"gaussian\"\nsigma = {sigma:?}"), &format!("{still}\n{more}"));
        (clean.unwrap(), noisy.unwrap(), declared.unwrap().how)
    };
    let (clean, one, how) = noisy(0.5, "");
    let (_, two, other) = noisy(1.0, "");
    assert!(
        (one - clean).abs() > 1e-4 && (two - clean).abs() > (one - clean).abs(),
        "{clean} {one} {two}"
    );
    assert!(how != other && how.contains("0.5"), "{how}");
    let (_, small_batches, _) = {
        let text = text(&format!("{still}\n[corruption]\nkind = \"gaussian\"\nsigma = 0.5"));
        let (experiment, runs) = runs(&text.replace("[evaluate]", "[evaluate]\nbatch = 3"));
        let ended =
            train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, &mut |_: &Progress| {});
        let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
        let of = |name: &str| {
            trained.measured.metrics.iter().find(|one| one.name == name).unwrap().value
        };
        (of("test_mse").unwrap(), of("test_mse_corrupted").unwrap(), ())
    };
    assert!((small_batches - one).abs() < 1e-6, "{small_batches} {one}");
    let needs_range = with("kind = \"salt\"\nrate = 0.5", still);
    assert!(needs_range.1.unwrap() > 0.0);
}

/// Wrong if a stored model were measured with other noise than the run itself, or other seeds saw other noise.
#[test]
fn a_stored_model_is_measured_with_the_same_noise() {
    let more = "[train]\nepochs = 1\n[corruption]\nkind = \"salt\"\nrate = 0.4";
    let of = |kinds: &str| text(more).replace("\"reconstruction\"", kinds);
    let (both, without) = (of("\"reconstruction\", \"sparsity\""), of("\"sparsity\""));
    let (fresh, later) = (Place::with(&both), Place::with(&without));
    fresh.run_outside(["x.toml"]).exits(0);
    later.run_outside(["x.toml"]).exits(0);
    assert!(!columns(&later.table("noisy/runs")).contains(&"test_mse_corrupted".to_owned()));
    later.write("x.toml", both);
    later.run_outside(["x.toml"]).exits(0);
    let value = |place: &Place| numbers(&place.table("noisy/runs"), "test_mse_corrupted");
    assert_eq!(value(&fresh), value(&later));
    assert!(value(&fresh)[0].unwrap() > 0.0);
    let compared =
        fresh.run_outside(["compare", "results/noisy", "--metric", "test_mse_corrupted"]).exits(0);
    assert!(compared.out.contains("test_mse_corrupted"), "{compared}");
}

/// Wrong if a corruption that refuses vectors trained on them, one that does not refused them, or a corruption
/// whose noise says nothing were another run than none.
#[test]
fn every_corruption_fits_images_and_says_what_else_it_fits() {
    let vector = SampleShape::Vector(6);
    let image = SampleShape::Image { channels: 3, height: 4, width: 6 };
    for plugin in sorted(&CORRUPTIONS) {
        let section = format!("[corruption]\nkind = \"{}\"\n{}\n", plugin.name, plugin.example);
        let (experiment, runs) = runs(&text(&section));
        let corruption = &runs[0].corruption.value.plugin;
        assert!(corruption.fits(&image).is_ok(), "{}", plugin.name);
        let checked = check_run(&experiment, &runs[0], &*data(&runs[0]));
        assert_eq!(checked.is_ok(), corruption.fits(&vector).is_ok(), "{}", plugin.name);
    }
}

/// Wrong if a hole of no size changed what is learnt.
#[test]
fn corruptions_of_strength_0_are_those_of_a_run_without() {
    let on_digits = |section: &str| {
        let text = format!(
            "name = \"still\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\nlatents = 5\n\
             [train]\nsteps = 6\n[evaluate]\nkinds = [\"sparsity\"]\n{section}"
        );
        let (experiment, runs) = runs(&text);
        let ended =
            train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, &mut |_: &Progress| {});
        let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
        trained.model.parameters().into_owned()
    };
    let none = on_digits("");
    for still in [
        "kind = \"block\"\nshare = 0",
        "kind = \"masking\"\nrate = 0",
        "kind = \"masking\"\nrate = 0\nrescale = true",
        "kind = \"salt-and-pepper\"\nrate = 0",
        "kind = \"gaussian\"\nsigma = 0",
    ] {
        assert!(on_digits(&format!("[corruption]\n{still}\n")) == none, "{still}");
    }
    assert!(on_digits("[corruption]\nkind = \"block\"\nshare = 0.3\n") != none);
}
