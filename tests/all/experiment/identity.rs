//! The id of a run depends on all of its settings and on nothing else.

use std::collections::{BTreeSet, HashSet};

use framework::plugin::kinds;
use framework::spec::{Experiment, Parts, RunSpec, experiment_schema, is_list};
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::support::strategies::config;

#[track_caller]
fn runs(text: &str) -> Vec<RunSpec> {
    let experiment = Experiment::parse("x.toml".into(), "".into(), text.into(), &[]);
    let runs = experiment.and_then(|experiment| experiment.runs());
    runs.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// A setting, as one of its spellings.
#[derive(Clone, Debug)]
enum Setting {
    Float(f64),
    Whole(u32),
    Word(&'static str),
    Flag(bool),
}

impl Setting {
    fn spelt(&self, how: usize) -> String {
        let ways = match self {
            Self::Float(value) => {
                let mut ways =
                    vec![format!("{value:?}"), format!("{value:e}"), format!("+{value:?}")];
                ways.push(format!("{value:E}"));
                if value.fract() == 0.0 {
                    ways.extend([format!("{value:.0}"), format!("{value:.3}")]);
                }
                ways
            }
            Self::Whole(value) => {
                vec![
                    value.to_string(),
                    format!("+{value}"),
                    format!("0x{value:x}"),
                    format!("0b{value:b}"),
                ]
            }
            Self::Word(word) => {
                ["\"W\"", "'W'", "\"\"\"W\"\"\"", "'''W'''"].map(|w| w.replace('W', word)).to_vec()
            }
            Self::Flag(flag) => vec![flag.to_string()],
        };
        ways[how % ways.len()].clone()
    }
}

/// A run with settings of every type.
fn settings() -> impl Strategy<Value = Vec<(&'static str, Vec<(&'static str, Setting)>)>> {
    let numbers = (0.001..0.999_f64, prop_oneof![0.0..1e9_f64, (0..99_u32).prop_map(f64::from)]);
    let wholes = (1..9999_u32, 1..9999_u32, 1..9999_u32);
    let words = (prop::sample::select(vec!["relu", "tanh", "sigmoid"]), any::<bool>());
    (numbers, wholes, words).prop_map(|((rho, beta), (latents, epochs, batch), (word, flag))| {
        use Setting::{Flag, Float, Whole, Word};
        let architecture = vec![
            ("kind", Word("dense")),
            ("latents", Whole(latents)),
            ("activation", Word(word)),
            ("tied", Flag(flag)),
        ];
        vec![
            ("dataset", vec![("kind", Word("digits")), ("normalize", Word("center"))]),
            ("architecture", architecture),
            ("penalty", vec![("kind", Word("kl")), ("rho", Float(rho)), ("beta", Float(beta))]),
            ("train", vec![("epochs", Whole(epochs)), ("batch", Whole(batch))]),
        ]
    })
}

proptest! {
    #![proptest_config(config(300))]

    /// The order of sections and keys, comments, the spelling of numbers and texts, and whether a
    /// section is a heading, a table in a line or dotted keys: none of it is part of a run.
    #[test]
    fn how_a_file_is_spelt_is_no_part_of_a_run(
        settings in settings(),
        order in Just([0_usize, 1, 2, 3]).prop_shuffle(),
        ways in prop::collection::vec(0..12_usize, 16),
    ) {
        let plain: String = settings
            .iter()
            .map(|(section, keys)| {
                let lines = keys.iter().map(|(key, value)| format!("{key} = {}\n", value.spelt(0)));
                format!("[{section}]\n{}", lines.collect::<String>())
            })
            .collect();
        let (mut lines, mut headings) = (vec!["name = 'x' # a name".to_owned()], Vec::new());
        let mut ways = ways.into_iter().cycle();
        for at in order {
            let (section, keys) = &settings[at];
            let way = ways.next().unwrap();
            let mut keys: Vec<String> = keys
                .iter()
                .map(|(key, value)| format!("{key} = {}", value.spelt(ways.next().unwrap())))
                .collect();
            let count = keys.len();
            keys.rotate_left(way % count);
            match way % 3 {
                0 => headings.push(format!("\n [ {section} ]# here\n{}", keys.join(" # and\n\t"))),
                1 => lines.push(format!("{section} = {{ {} }}", keys.join(", "))),
                _ => lines.extend(keys.iter().map(|line| format!("\"{section}\" . {line}"))),
            }
        }
        let spelt = format!("{}\n{}\n", lines.join("\n\n"), headings.join("\n"));
        let ids = [&format!("name = \"y\"\n{plain}"), &spelt].map(|text| runs(text)[0].id.clone());
        prop_assert_eq!(&ids[0], &ids[1], "{}\n---\n{}", plain, spelt);
    }
}

/// A new setting with a default keeps the ids of earlier runs: a run that writes a default out has the id of
/// the run without it.
#[test]
fn defaults_that_are_written_out_are_no_part_of_a_run() {
    let mut sections: Vec<(&str, String, Json)> = Vec::new();
    for (section, rows) in kinds().into_iter().filter(|(kind, _)| *kind != "evaluation") {
        for row in rows {
            let text = format!("kind = \"{}\"\n{}\n", row.name, row.example);
            sections.push((section, text, row.schema));
        }
    }
    let train = experiment_schema()["$defs"]["train"].clone();
    sections.push(("train", String::new(), train));
    let mut count = 0;
    for (section, text, schema) in sections {
        let id = |more: &str| {
            let others = [
                ("dataset", "kind = \"digits\""),
                ("architecture", "kind = \"dense\"\nlatents = 9"),
            ];
            let others = others.iter().filter(|(other, _)| *other != section);
            let others: String =
                others.map(|(other, text)| format!("[{other}]\n{text}\n")).collect();
            let heading =
                if is_list(section) { format!("[[{section}]]") } else { format!("[{section}]") };
            runs(&format!("name = \"x\"\n{others}{heading}\n{more}{text}"))[0].id.clone()
        };
        let plain = id("");
        let written: toml::Table = text.parse().unwrap();
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let default = &property["default"];
            if !default.is_null() && !written.contains_key(key) {
                let default = toml::Value::try_from(default).unwrap();
                assert_eq!(id(&format!("{key} = {default}\n")), plain, "{section}: {key}\n{text}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "only {count} defaults were found");
}

/// Numbers that look random and are the same each time.
struct Random(blake3::OutputReader);

impl Random {
    fn new(seed: u64) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    fn bits(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.bits() % count as u64) as usize
    }

    /// Between 0 and 1.
    fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Runs of a grid whose only axis has these sections, which all differ.
fn sections(axis: &str, values: &BTreeSet<String>) -> Vec<RunSpec> {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut text = String::from("name = \"x\"\n");
    for (section, rest) in [
        ("dataset", "{ kind = \"digits\" }"),
        ("architecture", "{ kind = \"dense\", latents = 1 }"),
        ("penalty", "{ kind = \"l1\", lambda = 1 }"),
    ] {
        if section != axis {
            text += &format!("{section} = {rest}\n");
        }
    }
    let runs = runs(&format!("{text}[grid]\n{axis} = [\n{}\n]\n", values.join(",\n")));
    let different: HashSet<String> =
        runs.iter().map(|run| run.settings()[axis].to_string()).collect();
    assert_eq!(different.len(), runs.len());
    runs
}

/// Wrong if two runs shared an id: the second one would never be executed.
#[test]
fn no_two_of_a_million_different_runs_share_an_id() {
    const SEED: u64 = 5;
    eprintln!("seed {SEED}");
    let mut random = Random::new(SEED);
    let mut all = [const { BTreeSet::new() }; 5];
    let [datasets, architectures, penalties, trains, targets] = &mut all;
    // Texts that would be another setting without their quotes, and neighbouring numbers.
    let texts =
        ["a", "a.gz", "a\\u0000", "a\\nseed 1", "a\\\",\\\"train\\\":1", "{}", "ä", "a\\\\", "1"];
    for text in texts {
        for train in 1..40 {
            datasets.insert(format!("{{ kind = \"idx\", images = \"{text}\", train = {train} }}"));
        }
    }
    for normalize in ["none", "center", "standard", "unit-norm"] {
        datasets.insert(format!("{{ kind = \"digits\", normalize = \"{normalize}\" }}"));
    }
    for _ in 0..1000 {
        let activation = ["identity", "relu", "sigmoid", "tanh"][random.below(4)];
        let (latents, tied) = (1 + random.below(4096), random.below(2) == 1);
        architectures.insert(format!(
            "{{ kind = \"dense\", latents = {latents}, activation = \"{activation}\", tied = {tied} }}"
        ));
        let (rho, beta) = (random.share().max(1e-9), random.share() * 10.0);
        for rho in [rho, rho.next_up()] {
            penalties.insert(format!("{{ kind = \"kl\", rho = {rho:?}, beta = {beta:?} }}"));
            penalties.insert(format!("{{ kind = \"l1\", lambda = {rho:?} }}"));
            trains.insert(format!("{{ optimizer = {{ kind = \"sgd\", lr = {rho:?} }} }}"));
            trains.insert(format!("{{ optimizer = {{ lr = {rho:?} }} }}"));
        }
        let (k, size) = (1 + random.below(4096), 1 + random.below(64));
        penalties.insert(format!("{{ kind = \"k-sparse\", k = {k} }}"));
        penalties
            .insert(format!("{{ kind = \"group-lasso\", lambda = {k}, group_size = {size} }}"));
        let key = ["l0", "share", "mean_activation"][random.below(3)];
        targets.insert(format!("{{ {key} = {rho:?}, tolerance = {} }}", random.share().max(1e-9)));
        let (length, batch) = (["epochs", "steps"][random.below(2)], 1 + random.below(512));
        trains.insert(format!("{{ {length} = {k}, batch = {batch} }}"));
    }
    let names = ["dataset", "architecture", "penalty", "train", "target"];
    let pools: Vec<Vec<RunSpec>> =
        names.iter().zip(&all).map(|(name, values)| sections(name, values)).collect();

    let (mut drawn, mut ids) = (HashSet::new(), HashSet::new());
    while drawn.len() < 1_000_000 {
        let at: [usize; 5] = std::array::from_fn(|pool| random.below(pools[pool].len()));
        let seed = random.bits() >> random.below(64);
        if !drawn.insert((at, seed)) {
            continue;
        }
        let [dataset, architecture, penalty, train, target] =
            std::array::from_fn(|pool| &pools[pool][at[pool]]);
        let parts = Parts {
            dataset: dataset.dataset.clone(),
            architecture: architecture.architecture.clone(),
            penalty: penalty.penalty.clone(),
            train: train.train.clone(),
            target: target.target.clone(),
            ..dataset.parts.clone()
        };
        let id = RunSpec::name(&parts, seed);
        assert!(ids.insert(u64::from_str_radix(&id.0, 16).unwrap()), "{at:?}, seed {seed}: {id}");
    }
}
