//! Words of the field that name something otherwise here, or name what is not here: they are true, and they lead
//! on the command line and in errors to what was meant.

use std::collections::BTreeSet;
use std::path::PathBuf;

use framework::plugin::{ALIASES, Meant, kinds, same_word};
use framework::spec::Experiment;

use crate::support::program::{Place, with};

/// Every name of a plugin with its kind.
fn names() -> Vec<(&'static str, &'static str)> {
    let of = |(kind, rows): (&'static str, Vec<framework::plugin::PluginRow>)| {
        rows.into_iter().map(move |row| (kind, row.name))
    };
    kinds().into_iter().flat_map(of).collect()
}

/// Wrong if a word led to a plugin that is not there, hid a plugin's own name, had two meanings, or if a method that
/// has come was still said to be missing.
#[test]
fn every_word_is_true() {
    let names = names();
    let mut taken = BTreeSet::new();
    for alias in ALIASES {
        let first = alias.words[0];
        assert!(!alias.about.is_empty() && !alias.about.ends_with('.'), "{first}: about");
        for word in alias.words {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(!word.is_empty() && word.chars().all(legal), "`{word}`: kebab-case");
            assert!(taken.insert(word.replace('-', "")), "`{word}` has two meanings");
            let has_name = |kind: &str| names.iter().any(|n| n.0 == kind && same_word(n.1, word));
            match alias.meant {
                Meant::Plugin { kind, name } => {
                    assert!(names.contains(&(kind, name)), "`{word}`: no {kind} `{name}`");
                    assert!(!has_name(kind), "`{word}` is the name of a {kind}");
                }
                Meant::Section(_) => {}
                Meant::Missing => {
                    assert!(!kinds().iter().any(|(kind, _)| has_name(kind)), "`{word}` is there");
                    assert_eq!(alias.lines, "", "`{word}` can be written");
                }
            }
        }
    }
    assert!(taken.len() > 100, "the words of the plugins are not linked");
}

/// Wrong if somebody who copied the lines that stand beside a word met the next mistake.
#[test]
fn the_lines_beside_a_word_are_part_of_an_experiment() {
    for alias in ALIASES.iter().filter(|alias| !alias.lines.is_empty()) {
        let mut text = format!("name = \"x\"\n{}\n", alias.lines);
        for (section, lines) in [
            ("dataset", "kind = \"digits\"\n"),
            ("architecture", "kind = \"dense\"\nlatents = 8\n"),
        ] {
            if !alias.lines.contains(&format!("[{section}]")) {
                text.push_str(&format!("[{section}]\n{lines}"));
            }
        }
        let read = Experiment::parse("x.toml".into(), PathBuf::new(), text.clone(), &[])
            .and_then(|experiment| experiment.runs());
        assert!(read.is_ok(), "{text}\n{:?}", read.err());
        if let Meant::Plugin { name, .. } = alias.meant {
            assert!(text.contains(&format!("\"{name}\"")), "no {name} in\n{text}");
        }
    }
}

/// Wrong if who knows a method by another name did not find it, whatever the word's capitals and hyphens.
#[test]
fn a_plugin_is_found_by_other_words() {
    let place = Place::new();
    for words in [&["topk"][..], &["Top-K"], &["penalty", "top_k"], &["penalty", "topk"]] {
        let said = place.run([&["plugins"], words].concat()).exits(0).out;
        for part in ["activation = \"relu\"", "penalty `k-sparse`", "k_anneal", "Other words"] {
            assert!(said.contains(part), "{words:?}: no {part} in\n{said}");
        }
    }
    let mnist = place.run(["plugins", "mnist"]).exits(0).out;
    assert!(mnist.contains("train-images-idx3-ubyte.gz") && mnist.contains("dataset `idx`"));
    let noise = place.run(["plugins", "dae"]).exits(0).out;
    assert!(noise.contains("[corruption]\n    kind = \"gaussian\""), "{noise}");
    assert!(noise.contains("salt-and-pepper"), "the corruptions are not listed in\n{noise}");
    let optimizer = place.run(["plugins", "optimizer"]).exits(0).out;
    assert!(optimizer.contains("[train], with") && optimizer.contains("beta2"), "{optimizer}");
    let named = place.run(["plugins", "k-sparse"]).exits(0).out;
    assert!(named.starts_with("penalty `k-sparse`: "), "{named}");
    let json = place.run(["plugins", "topk", "--json"]).exits(0).json();
    assert_eq!(json["penalty"][0]["name"], "k-sparse");
    assert!(json["aliases"][0]["words"].as_array().unwrap().iter().any(|word| word == "top-k"));
    let all = place.run(["plugins"]).exits(0).out;
    assert!(all.contains("top-k") && all.contains("saegrid plugins topk"), "{all}");
    let outside = place.run_outside(["plugins", "SoftShrink"]).exits(0).out;
    assert!(outside.contains("penalty `soft-threshold`"), "{outside}");
    let said = place.run(["plugins", "transcoder"]).exits(2);
    said.complains(["`transcoder` is not in this version", "its own input"]);
    let cnn = place.run(["plugins", "CNN"]).exits(0).out;
    assert!(cnn.contains("architecture `convolutional`") && cnn.contains("stride"), "{cnn}");
    let vae = place.run(["plugins", "vae"]).exits(0).out;
    assert!(vae.contains("architecture `variational`") && vae.contains("beta-vae"), "{vae}");
    let said = place.run(["plugins", "penalty", "contractive"]).exits(2);
    said.complains(["no penalty is named", "is an auxiliary", "[[auxiliary]]"]);
    place.run(["plugins", "contractiv"]).exits(2).complains(["did you mean `contractive`?"]);
}

/// Wrong if an error gave a meaningless nearest name where a word has a meaning, or told nothing of a name of another
/// kind.
#[test]
fn errors_know_other_words() {
    let changed = |from: &str, to: &str| Place::with(&with("").replace(from, to));
    for (word, parts) in [
        ("topk", &["x.toml:11:8", "`k-sparse` with `activation = \"relu\"`", "k = 32"][..]),
        ("trans_coder", &["x.toml:11:8", "`trans_coder` is not in this version: every"]),
        ("transcodor", &["did you mean `transcoder`?", "`transcoder` is not in this version"]),
        ("l2", &["`weight-decay`", "[[auxiliary]]"]),
        ("contractive", &["`contractive` is an auxiliary", "[[auxiliary]]"]),
        ("probe", &["`probe` is an evaluation", "kinds = [\"reconstruction\", \"probe\"]"]),
        ("l11", &["did you mean `l1`?"]),
        ("nothing-like-it", &["known: ", "class-group-lasso"]),
    ] {
        let place = changed("\"l1\"", &format!("\"{word}\""));
        place.run(["check", "x.toml"]).exits(2).complains(parts.iter().copied());
    }
    let said = changed("\"digits\"", "\"MNIST\"").run(["check", "x.toml"]).exits(2);
    said.complains(["kind = \"idx\"", "test_images = \"t10k-images-idx3-ubyte.gz\""]);
    let place = Place::with(&with("").replace("[architecture]", "[model]"));
    place.run(["check", "x.toml"]).exits(2).complains(["x.toml:6:2", "[architecture]"]);
    let place = Place::with(&with("optimizer = { kind = \"adamw\" }"));
    place.run(["check", "x.toml"]).exits(2).complains(["decoupled = true"]);
    let place = Place::with(&with("objective = \"mse\""));
    place.run(["check", "x.toml"]).exits(2).complains(["by default \"squared\""]);
    let place = Place::with(&with("[[auxiliary]]\nkind = \"ghost-grads\""));
    place.run(["check", "x.toml"]).exits(2).complains(["the auxiliary `auxk`"]);
}

/// Wrong if a setting that a section has was not listed with its values, default and meaning.
#[test]
fn settings_of_sections_are_listed() {
    let place = Place::new();
    let says = |word: &str, parts: &[&str]| {
        let said = place.run(["plugins", word]).exits(0).out;
        for part in parts {
            assert!(said.contains(part), "{word}: no {part} in\n{said}");
        }
    };
    says(
        "train",
        &["| batch ", "128", "\"squared\" | \"absolute\"", "kind = \"adam\", the default"],
    );
    says("train", &["beta2", "0.999", "Decay rate", "train.schedule of kind = \"cosine\""]);
    says("train.optimizer", &["lr ", "momentum"]);
    says("evaluate", &["[\"reconstruction\",\"sparsity\"]", "256", "saegrid plugins evaluation"]);
    says("run", &["checkpoint", "string or number ≥ 0", "run.halving:", "needed"]);
    says("run.halving", &["eta", "number > 1", "within"]);
    says("target", &["l0 ", "tolerance"]);
    says("init", &["from", "\"all\" | \"encoder\""]);
    says("slurm", &["runs-at-once", "string or list"]);
    let json = place.run(["plugins", "train", "--json"]).exits(0).json();
    assert_eq!(json["schema"]["properties"]["batch"]["default"], 128);
    for (kind, name, setting) in
        [("dataset", "idx", "| normalize "), ("evaluation", "probe", "| name ")]
    {
        let said = place.run(["plugins", kind, name]).exits(0).out;
        let (_, shared) = said.split_once(&format!("Of every {kind}:\n")).unwrap();
        assert!(shared.contains(setting), "{said}");
    }
    let json = place.run(["plugins", "dataset", "idx", "--json"]).exits(0).json();
    assert!(json["dataset"][0]["shared"]["normalize"]["default"] == "none", "{json}");
    assert!(place.run(["plugins"]).exits(0).out.contains("run.halving"));
    place.run(["plugins", "trian"]).exits(2).complains(["did you mean `train`?"]);
    place.run(["plugins", "run.halvign"]).exits(2).complains(["did you mean `run.halving`?"]);
}
