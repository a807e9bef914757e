//! The id of a run: the same for every spelling of its settings, another one for another meaning, and the
//! same in every version of the program.

use std::collections::BTreeSet;

use framework::spec::Experiment;
use proptest::prelude::*;

use crate::support::program::TINY;

/// Ids of the runs of an experiment, in its order.
fn ids(text: &str) -> Vec<String> {
    ids_in("x.toml", "", text)
}

fn ids_in(file: &str, base: &str, text: &str) -> Vec<String> {
    let experiment = Experiment::parse(file.into(), base.into(), text.into(), &[]);
    let experiment = experiment.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let runs = experiment.runs().unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    runs.into_iter().map(|run| run.id.0).collect()
}

fn id(text: &str) -> String {
    let mut ids = ids(text);
    assert_eq!(ids.len(), 1);
    ids.remove(0)
}

/// A run with a setting of each type.
const FULL: &str = "name = \"full\"
[dataset]
kind = \"idx\"
images = \"images.gz\"
train = 100
normalize = \"center\"
[architecture]
kind = \"dense\"
latents = 16
activation = \"sigmoid\"
tied = true
[penalty]
kind = \"kl\"
rho = 0.05
beta = 2.0
[train]
epochs = 10
batch = 64
optimizer = { kind = \"adam\", lr = 0.001 }
";

#[test]
fn the_id_of_a_run_does_not_depend_on_how_it_is_spelt() {
    let full = id(FULL);
    for (from, to) in [
        ("2.0", "2"),
        ("2.0", "2e0"),
        ("2.0", "+2.0"),
        ("0.05", "5e-2"),
        ("0.001", "1e-3"),
        ("= 64", "= 0x40"),
        ("= 100", "= 1_00"),
        ("{ kind = \"adam\", lr = 0.001 }", "{ lr = 0.001, kind = \"adam\" }"),
        ("{ kind = \"adam\", lr = 0.001 }", "{ beta1 = 0.9, eps = 1e-8, beta2 = 0.999 }"),
        ("optimizer = { kind = \"adam\", lr = 0.001 }\n", ""),
        (
            "optimizer = { kind = \"adam\", lr = 0.001 }",
            "[train.optimizer]\nlr = 1e-3\nkind = \"adam\"",
        ),
        ("batch = 64", "batch = 64 # a comment\nengine = \"auto\"\nprecision = \"f32\""),
        ("batch = 64", "schedule = { kind = \"constant\", warmup_steps = 0 }\nbatch = 64"),
        ("batch = 64", "batches = \"shuffled\"\npenalty_warmup = 0\nbatch = 64"),
        ("\"sigmoid\"", "'sigmoid'"),
        ("\"sigmoid\"", "\"\"\"sigmoid\"\"\""),
        ("tied = true", "tied = true\ndecoder = \"linear\""),
        ("name = \"full\"", "name = \"other\"\nseeds = [0]"),
        (
            "name = \"full\"",
            "name = \"full\"\nevaluate = { kinds = [\"sparsity\"], every = 3, batch = 5 }",
        ),
        ("name = \"full\"", "name = \"full\"\nrun = { timeout = \"1h\", retries = 3 }"),
        ("beta = 2.0\n", "beta = 2.0\n[grid]\n\"penalty.beta\" = [2]\n"),
        (
            "[penalty]\nkind = \"kl\"\nrho = 0.05\nbeta = 2.0\n",
            "[grid]\npenalty = [{ beta = 2, rho = 0.05, kind = \"kl\" }]\n",
        ),
    ] {
        assert!(FULL.contains(from), "{from}");
        assert_eq!(id(&FULL.replace(from, to)), full, "`{from}` and `{to}` mean the same");
    }
    for (file, base) in [("elsewhere/y.toml", "elsewhere"), ("/a/b/c.toml", "/a/b")] {
        assert_eq!(ids_in(file, base, FULL), [full.as_str()], "where the file stands");
    }
    assert_eq!(id(&FULL.replace('\n', "\r\n")), full);
    let parameters = "[penalty]\nkind = \"k-sparse\"\nk = 4\n";
    let of = |more: &str| {
        id(&TINY
            .replace("[penalty]\nkind = \"l1\"\nlambda = 0.1\n", &format!("{parameters}{more}")))
    };
    assert_eq!(of(""), of("alpha = 1\nk_anneal = 0.5\n"), "defaults");
}

#[test]
fn the_id_of_a_run_changes_with_its_meaning() {
    let mut all = BTreeSet::from([id(FULL)]);
    for (from, to) in [
        ("images.gz", "./images.gz"),
        ("images.gz", "images"),
        ("= 100", "= 101"),
        ("= 100", "= 100\ntest = 5"),
        ("normalize = \"center\"\n", ""),
        ("\"center\"", "\"standard\""),
        ("= 16", "= 17"),
        ("\"sigmoid\"", "\"tanh\""),
        ("tied = true", "tied = false"),
        ("tied = true", "tied = true\ndecoder = \"sigmoid\""),
        ("tied = true", "tied = true\nsubtract_decoder_bias = true"),
        ("rho = 0.05", "rho = 0.050000000000000003"), // the next number to 0.05 but one
        ("beta = 2.0", "beta = 2.5"),
        ("kind = \"kl\"\nrho = 0.05\nbeta = 2.0", "kind = \"l1\"\nlambda = 2.0"),
        ("kind = \"kl\"\nrho = 0.05\nbeta = 2.0", "kind = \"none\""),
        ("epochs = 10", "epochs = 11"),
        ("epochs = 10", "steps = 10"),
        ("batch = 64", "batch = 65"),
        ("batch = 64", "batch = 64\nengine = \"reference\""),
        ("batch = 64", "batch = 64\nengine = \"fused\""),
        ("batch = 64", "batch = 64\nprecision = \"bf16\""),
        ("lr = 0.001", "lr = 0.002"),
        ("lr = 0.001", "lr = 0.001, beta1 = 0.8"),
        ("\"adam\"", "\"sgd\""),
        ("batch = 64", "batch = 64\nschedule = { kind = \"cosine\" }"),
        ("batch = 64", "batch = 64\nschedule = { warmup_steps = 5 }"),
        ("batch = 64", "batch = 64\nclip_norm = 1"),
        ("batch = 64", "batch = 64\npenalty_warmup = 0.1"),
        ("batch = 64", "batch = 64\nbatches = \"stratified\""),
        ("batch = 64", "batch = 64\nschedule = { kind = \"linear\" }"),
        ("batch = 64", "batch = 64\nschedule = { kind = \"linear\", decay = 0.5 }"),
        ("name = \"full\"", "name = \"full\"\nseeds = [1]"),
    ] {
        assert!(FULL.contains(from), "{from}");
        let other = id(&FULL.replace(from, to));
        assert_eq!(from == "rho = 0.05", !all.insert(other), "`{from}` against `{to}`");
    }
}

/// Ids of results that users have. Where one of these changes, every user's results are run again: that needs
/// a reason and a migration, not a new number here.
#[test]
fn ids_stay_what_they_were() {
    let sweep = ids(include_str!("../../golden/frozen/kl_sweep.toml"));
    assert_eq!(sweep.len(), 27);
    let found = [&*id(TINY), &*id(FULL), &*sweep[0], &*sweep[26]];
    let golden = ["611c827873c79d00", "029fa974908d01fe", "11650c3b429c0142", "1dbdd4f942003bb8"];
    assert_eq!(found, golden);
}

proptest! {
    /// The order of keys in each section, and of the sections, is no part of a run.
    #[test]
    fn the_order_of_a_file_is_no_part_of_a_run(
        sections in Just(FULL.split('[').skip(1).map(str::to_owned).collect::<Vec<_>>()).prop_shuffle(),
        seed in any::<u64>(),
    ) {
        let shuffled: Vec<String> = sections
            .iter()
            .map(|section| {
                let mut lines: Vec<&str> = section.lines().collect();
                let keys = &mut lines[1..];
                let by = (seed % keys.len() as u64) as usize;
                keys.rotate_left(by);
                if seed & (1 << 32) != 0 {
                    keys.reverse();
                }
                format!("[{}\n", lines.join("\n"))
            })
            .collect();
        prop_assert_eq!(id(&format!("name = \"full\"\n{}", shuffled.concat())), id(FULL));
    }
}
