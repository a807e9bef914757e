//! Mistakes are found before anything trains: exit code 2, no folder of results, and a message with
//! the place, the line and, where there is one, the nearest right name. Output that cannot be
//! written is exit code 74.

use std::fs;
use std::time::{Duration, Instant};

use crate::program::{Place, Said, TINY, idx};

/// The tiny experiment with one thing changed.
#[track_caller]
fn changed(from: &str, to: &str) -> String {
    assert!(TINY.contains(from), "the tiny experiment has no `{from}`");
    TINY.replace(from, to)
}

/// The tiny experiment with more at its end.
fn with(more: &str) -> String {
    format!("{TINY}{more}\n")
}

/// `text` is refused when it is run, with all `parts` in the message, and nothing is written.
#[track_caller]
fn refused(text: &str, parts: &[&str]) -> Said {
    refused_in(&Place::with(text), parts)
}

#[track_caller]
fn refused_in(place: &Place, parts: &[&str]) -> Said {
    let said = place.run(["x.toml"]).exits(2).complains(parts.iter().copied());
    assert!(!place.has_results(), "something was written:\n{said}");
    assert!(said.out.is_empty(), "standard output is for results:\n{said}");
    said
}

/// How many errors were shown.
fn errors(said: &Said) -> usize {
    said.err.lines().filter(|line| line.starts_with("error: ")).count()
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let place = Place::new();
    for command in [&["gone.toml"][..], &["run", "gone.toml"], &["list", "gone.toml"]] {
        place.run(command).exits(2).complains(["cannot read the experiment `gone.toml`"]);
    }
    place.run(["check", "."]).exits(2).complains(["cannot read the experiment `.`"]);
    assert!(!place.has_results());
}

#[test]
fn what_is_no_toml_is_shown_where_it_breaks() {
    refused(&changed("lambda = 0.1", "lambda = "), &["x.toml:12:", "12 | lambda ="]);
    refused(&changed("[penalty]", "[penalty"), &["x.toml:10:9", "10 | [penalty"]);
    refused(&with("epochs = 2"), &["x.toml:16:1", "duplicate key"]);
    let both = TINY.replace("= 16", "=").replace("\"l1\"", "l1");
    let said = refused(&both, &["x.toml:8:", "x.toml:11:8"]);
    assert!(errors(&said) >= 2, "{said}");
}

#[test]
fn what_is_no_text_is_refused() {
    let place = Place::new();
    place.write("x.toml", b"name = \"a\"\n# \xff\xfe\n");
    refused_in(&place, &["`x.toml` is not UTF-8 text: byte 13 is not"]);
    let deep = format!("name = \"a\"\nseeds = {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    refused(&deep, &["x.toml:2:"]);
}

/// Editors on other systems write these; they are no mistakes, and places stay right.
#[test]
fn byte_order_marks_and_carriage_returns_are_no_mistakes() {
    let windows = format!("\u{feff}{}", TINY.replace('\n', "\r\n"));
    Place::with(&windows).run(["check", "x.toml"]).exits(0);
    refused(&windows.replace("\"l1\"", "\"l2\""), &["x.toml:11:8", "no penalty is named `l2`"]);
}

#[test]
fn unknown_keys_are_shown_with_the_nearest_right_one() {
    let cases = [
        (format!("seed = [1]\n{TINY}"), "x.toml:1:1", "an experiment has no `seed`", "`seeds`"),
        (changed("[penalty]", "[penalti]"), "x.toml:10:2", "has no `penalti`", "`penalty`"),
        (changed("latents", "latent"), "x.toml:8:1", "has no setting `latent`", "`latents`"),
        (
            changed("lambda", "lamda"),
            "x.toml:12:1",
            "penalty `l1` has no setting `lamda`",
            "`lambda`",
        ),
        (changed("epochs", "epoch"), "x.toml:15:1", "train has no setting `epoch`", "`epochs`"),
        (
            with("optimizer = { kind = \"adam\", beta_1 = 0.5 }"),
            "x.toml:16:30",
            "`beta_1`",
            "`beta1`",
        ),
        (
            changed("\"digits\"", "\"digits\"\nnormalise = \"none\""),
            "x.toml:5:1",
            "`normalise`",
            "",
        ),
        (with("[evaluate]\nevry = 2"), "x.toml:17:1", "evaluate has no setting `evry`", "`every`"),
        (with("[run]\ntime_out = 2"), "x.toml:17:1", "run has no setting `time_out`", "`timeout`"),
    ];
    for (text, place, message, nearest) in cases {
        let said = refused(&text, &[place, message]);
        if !nearest.is_empty() {
            assert!(said.err.contains(&format!("did you mean {nearest}?")), "{said}");
        }
    }
}

#[test]
fn unknown_names_are_shown_with_the_nearest_right_one() {
    let cases = [
        (changed("digits", "digit"), "x.toml:4:8", "no dataset is named `digit`", "`digits`"),
        (changed("dense", "dens"), "x.toml:7:8", "no architecture is named `dens`", "`dense`"),
        (
            changed("\"l1\"", "\"K_sparse\""),
            "x.toml:11:8",
            "no penalty is named `K_sparse`",
            "`k-sparse`",
        ),
        (
            with("[evaluate]\nkinds = [\"sparsty\"]"),
            "x.toml:17:10",
            "no evaluation is named `sparsty`",
            "`sparsity`",
        ),
        (
            with("optimizer = { kind = \"adamm\" }"),
            "x.toml:16:22",
            "no train.optimizer is named `adamm`",
            "`adam`",
        ),
        (
            with("schedule = { kind = \"cosin\" }"),
            "x.toml:16:21",
            "no train.schedule is named `cosin`",
            "`cosine`",
        ),
        (
            with("engine = \"fusd\""),
            "x.toml:16:10",
            "`fusd` is not one of auto, fused, reference",
            "`fused`",
        ),
        (
            changed("16", "16\nactivation = \"rellu\""),
            "x.toml:9:14",
            "`rellu` is not one of",
            "`relu`",
        ),
    ];
    for (text, place, message, nearest) in cases {
        refused(&text, &[place, message, &format!("did you mean {nearest}?")]);
    }
    refused(&changed("\"l1\"", "\"something\""), &["known: group-lasso, k-sparse, kl, l1, none"]);
}

#[test]
fn wrong_types_say_what_was_expected_and_what_was_given() {
    let cases = [
        (
            changed("= 16", "= \"many\""),
            "x.toml:8:11",
            "expected a whole number of at least 1, got the string \"many\"",
        ),
        (changed("= 16", "= 16.5"), "x.toml:8:11", "got 16.5"),
        (changed("= 16", "= -16"), "x.toml:8:11", "got -16"),
        (changed("= 0.1", "= true"), "x.toml:12:10", "expected a number, got true"),
        (changed("= 0.1", "= [0.1]"), "x.toml:12:10", "expected a number, got a list"),
        (changed("= 0.1", "= 1979-05-27"), "x.toml:12:10", "expected a number"),
        (changed("= 16", "= 16\ntied = 1"), "x.toml:9:8", "expected true or false, got 1"),
        (changed("\"tiny\"", "3"), "x.toml:1:8", "`name` is a string, got a whole number"),
        (changed("\"l1\"", "1"), "x.toml:11:8", "`penalty.kind` is a string"),
        (
            format!("penalty = 3\n{}", changed("[penalty]\nkind = \"l1\"\nlambda = 0.1\n", "")),
            "x.toml:1:11",
            "`penalty` is a table, got a whole number",
        ),
        (format!("seeds = 3\n{TINY}"), "x.toml:1:9", "`seeds` is a list, got a whole number"),
        (format!("seeds = [0, -1]\n{TINY}"), "x.toml:1:13", "at least 0, got -1"),
        (format!("seeds = [0, 0.5]\n{TINY}"), "x.toml:1:13", "at least 0, got 0.5"),
        (format!("grid = 3\n{TINY}"), "x.toml:1:8", "`grid` is a table"),
        (
            with("optimizer = \"adam\""),
            "x.toml:16:13",
            "`train.optimizer` is a table, got a string",
        ),
        (with("[evaluate]\nkinds = \"sparsity\""), "x.toml:17:9", "`evaluate.kinds` is a list"),
        (with("[run]\ntimeout = \"soon\""), "x.toml:17:11", "a duration as in"),
        (with("[grid]\n\"penalty.lambda\" = 0.3"), "x.toml:17:20", "is a list of values"),
    ];
    for (text, place, message) in cases {
        refused(&text, &[place, message]);
    }
}

#[test]
fn values_out_of_range_are_refused_where_they_stand() {
    let kl = |rho: &str, beta: &str| {
        let sigmoid = changed("= 16", "= 16\nactivation = \"sigmoid\"");
        sigmoid.replace("\"l1\"\nlambda = 0.1", &format!("\"kl\"\nrho = {rho}\nbeta = {beta}"))
    };
    for rho in ["0", "0.0", "1", "1.5", "-0.1", "1e-400"] {
        refused(
            &kl(rho, "0.1"),
            &["x.toml:13:7", "a rate strictly between 0 and 1", "13 | rho = "],
        );
    }
    refused(&kl("0.1", "-1"), &["x.toml:14:8", "a number of at least 0, got -1"]);
    refused(&changed("0.1", "-0.3"), &["x.toml:12:10", "a number of at least 0, got -0.3"]);
    for value in ["nan", "inf", "-inf", "+nan", "1e999"] {
        let parts = ["x.toml:12:10", "a setting is a finite number", "12 | lambda = "];
        refused(&changed("0.1", value), &parts);
    }
    for (text, place) in [
        (changed("= 16", "= 0"), "x.toml:8:11"),
        (changed("epochs = 1", "epochs = 0"), "x.toml:15:10"),
        (changed("epochs = 1", "steps = 0"), "x.toml:15:9"),
        (with("batch = 0"), "x.toml:16:9"),
        (with("[evaluate]\nbatch = 0"), "x.toml:17:9"),
        (with("[evaluate]\nevery = 0"), "x.toml:17:9"),
    ] {
        refused(&text, &[place, "a whole number of at least 1, got 0"]);
    }
    let lr = |value: &str| with(&format!("optimizer = {{ kind = \"adam\", {value} }}"));
    refused(&lr("lr = 0"), &["x.toml:16:35", "a number greater than 0"]);
    refused(&lr("beta1 = 1"), &["x.toml:16:38", "less than 1, got 1"]);
    refused(&with("[run]\ntimeout = -1"), &["x.toml:17:11"]);
    let huge = changed("= 16", "= 99999999999999999999");
    refused(&huge, &["x.toml:8:11", "does not fit 64 bits"]);
}

#[test]
fn what_is_needed_and_missing_is_named() {
    refused(&changed("name = \"tiny\"\n", ""), &["x.toml:1:1", "an experiment needs a `name`"]);
    refused(&changed("latents = 16\n", ""), &["x.toml:", "`latents` is missing"]);
    refused(&changed("lambda = 0.1\n", ""), &["x.toml:11:8", "`lambda` is missing"]);
    refused(&changed("kind = \"l1\"\n", ""), &["x.toml:10:1", "`penalty` needs a `kind`"]);
    for section in
        ["[dataset]\nkind = \"digits\"\n", "[architecture]\nkind = \"dense\"\nlatents = 16\n"]
    {
        let name = section[1..].split(']').next().unwrap();
        let message = format!("an experiment needs a section `[{name}]`");
        refused(&changed(section, ""), &["x.toml:1:1", &message]);
    }
    refused("", &["an experiment needs a `name`"]);
}

#[test]
fn settings_that_exclude_each_other_are_both_shown() {
    let parts =
        ["x.toml:16:1", "`epochs` and `steps` both say how long", "epochs = 1", "steps = 5"];
    refused(&with("steps = 5"), &parts);
}

#[test]
fn penalties_that_do_not_fit_the_code_are_refused() {
    let penalty = |text: &str| changed("kind = \"l1\"\nlambda = 0.1", text);
    let many = refused(
        &penalty("kind = \"k-sparse\"\nk = 17"),
        &["x.toml:12:5", "at most all 16 latents"],
    );
    assert_eq!(errors(&many), 1, "{many}");
    refused(&penalty("kind = \"k-sparse\"\nk = 0"), &["x.toml:12:5", "at least 1, got 0"]);
    refused(&penalty("kind = \"k-sparse\"\nk = 4\nalpha = 0.5"), &["x.toml:13:9", "at least 1"]);
    for activation in ["relu", "identity"] {
        let text = penalty("kind = \"kl\"\nrho = 0.1\nbeta = 1")
            .replace("= 16", &format!("= 16\nactivation = \"{activation}\""));
        refused(&text, &["x.toml:12:8", "penalty `kl`", "x.toml:7:8", "sigmoid"]);
    }
    let groups = penalty("kind = \"group-lasso\"\nlambda = 0.1\ngroup_size = 5");
    refused(&groups, &["x.toml:13:14", "group_size", "16"]);
}

#[test]
fn too_many_latents_are_refused() {
    refused(
        &changed("= 16", "= 16777217"),
        &["x.toml:8:11", "1 to 16777216 latents, got 16777217"],
    );
    let most = changed("= 16", "= 16777216");
    Place::with(&most).run(["check", "x.toml"]).exits(0);
    let wide = most.replace(
        "kind = \"digits\"",
        "kind = \"sparse-dictionary\"\ninputs = 4096\nfeatures = 4\nactive = 1\ntrain = 2\ntest = 2",
    );
    refused(&wide, &["latents = 16777216", "parameters and moments would take"]);
}

#[test]
fn grids_without_runs_are_refused() {
    refused(
        &with("[grid]\n\"penalty.lambda\" = []"),
        &["x.toml:17:20", "is empty, so the grid has no runs"],
    );
    refused(
        &format!("seeds = []\n{TINY}"),
        &["x.toml:1:9", "`seeds` is empty, so the grid has no runs"],
    );
    refused(&with("[grid]\npenalty = []"), &["x.toml:17:11", "is empty"]);
    let none = "[grid]\n\"penalty.lambda\" = { log = [0.1, 1], points = 0 }";
    refused(&with(none), &["x.toml:17:47", "`points` is a whole number from 1"]);
}

#[test]
fn what_is_there_twice_is_named_twice() {
    let parts = ["x.toml:1:16", "the seed 3 is there twice", "x.toml:1:10", "the first"];
    refused(&format!("seeds = [3, 1, 3]\n{TINY}"), &parts);

    let same = with("[grid]\n\"penalty.lambda\" = [0.3, 1e-1, 0.10]");
    let parts = [
        "two points of the grid are the same run",
        "penalty.lambda = 0.1) and (penalty.lambda = 0.1)",
        "x.toml:17:32",
        "x.toml:17:26",
    ];
    refused(&same, &parts);

    // A default that is written out means what leaving it out means.
    let same = with(
        "[grid]\npenalty = [{ kind = \"k-sparse\", k = 4 }, { k = 4, kind = \"k-sparse\", alpha = 1 }]",
    );
    let parts =
        ["two points of the grid are the same run", "x.toml:17:12", "x.toml:17:42", "alpha = 1"];
    refused(&same, &parts);

    let twice = with("[grid]\n\"penalty.lambda\" = [0.3]\npenalty.lambda = [0.4]");
    refused(&twice, &["x.toml:18:9", "the axis `penalty.lambda` is there twice", "x.toml:17:1"]);
    let twice = with("[evaluate]\nkinds = [\"sparsity\", \"sparsity\"]");
    refused(&twice, &["x.toml:17:22", "the evaluation `sparsity` is there twice"]);
}

#[test]
fn axes_that_move_together_are_of_one_length() {
    let zip = "[[grid.zip]]\n\"penalty.lambda\" = [0.1, 0.2]\n\"train.batch\" = [32, 64, 128]";
    let parts =
        ["x.toml:18:1", "`penalty.lambda` has 2 values, `train.batch` has 3", "x.toml:17:1"];
    refused(&with(zip), &parts);
    refused(&with("[grid]\nzip = 3"), &["x.toml:17:1", "[[grid.zip]]"]);
}

#[test]
fn an_axis_whose_key_one_of_the_sections_lacks_is_refused_and_both_are_named() {
    let text = with(
        "[grid]\npenalty = [{ kind = \"l1\", lambda = 1 }, { kind = \"k-sparse\", k = 4 }]\n\
         \"penalty.lambda\" = [0.1, 0.2]",
    );
    let parts = [
        "penalty `k-sparse` has no setting `lambda`",
        "x.toml:18:1",
        "x.toml:17:41",
        "the axis `penalty.lambda` applies to this value too",
    ];
    refused(&text, &parts);
    let said = refused(
        &with("[grid]\n\"penalty.lamda\" = [0.1, 0.2]"),
        &["x.toml:17:1", "did you mean `lambda`?"],
    );
    assert_eq!(errors(&said), 1, "once, not for each value: {said}");
    refused(
        &with("[grid]\n\"penalti.lambda\" = [1]"),
        &["x.toml:17:1", "cannot be an axis", "`penalty`?"],
    );
    refused(&with("[grid]\nseeds = [1]"), &["x.toml:17:1", "seeds are an axis of their own"]);
    refused(
        &with("[grid]\n\"run.timeout\" = [1]"),
        &["x.toml:17:1", "does not change what is trained"],
    );
    refused(
        &with("[grid]\npenalty = [\"l1\", \"none\"]"),
        &["x.toml:17:12", "is a whole section, got a string"],
    );
    let value = with("[grid]\n\"penalty.lambda\" = [0.1, -0.2]");
    refused(&value, &["x.toml:17:26", "at least 0, got -0.2"]);
}

#[test]
fn names_that_are_no_folders_are_refused() {
    let long = "a".repeat(201);
    for name in ["", ".", "..", "a/b", "../a", ".hidden", "-a", "a b", "ä", "a\\\\b", "a\\n", &long]
    {
        refused(&changed("tiny", name), &["x.toml:1:8", "is no name for a folder of results"]);
    }
    for name in ["a", "0", "a.b_c-d", "K2"] {
        Place::with(&changed("tiny", name)).run(["check", "x.toml"]).exits(0);
    }
}

/// A place with six images of 1 x 2 pixels, and their labels.
fn images(dataset: &str) -> Place {
    let dataset = format!("kind = \"idx\"\n{dataset}");
    let place = Place::with(&changed("kind = \"digits\"", &dataset));
    let pixels: Vec<u8> = (0..12).collect();
    place.write("six", idx(&[6, 1, 2], &pixels));
    place.write("labels", idx(&[6], &[0, 1, 2, 0, 1, 2]));
    place.write("two-labels", idx(&[2], &[0, 1]));
    place.write("short", &idx(&[6, 1, 2], &pixels)[..20]);
    place.write("png", b"\x89PNG\r\n\x1a\n and so on");
    place.write("floats", [0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    place.write("none", b"");
    place
}

#[test]
fn data_files_that_are_missing_or_malformed_are_refused_at_the_line_that_names_them() {
    let good = images("images = \"six\"\nlabels = \"labels\"\ntrain = 4\ntest = 2");
    good.run(["check", "x.toml"]).exits(0);
    let cases = [
        ("images = \"gone\"\ntrain = 4", "x.toml:5:10", "gone` cannot be opened"),
        ("images = \".\"\ntrain = 4", "x.toml:5:10", "cannot be"),
        ("images = \"short\"\ntrain = 4", "x.toml:5:10", "short` is cut short: expected 12 bytes"),
        (
            "images = \"png\"\ntrain = 4",
            "x.toml:5:10",
            "is not an IDX file: it starts with the bytes [89 50 4e 47]",
        ),
        ("images = \"floats\"\ntrain = 4", "x.toml:5:10", "holds 32-bit floats"),
        ("images = \"none\"\ntrain = 4", "x.toml:5:10", "is not an IDX file"),
        ("images = \"six\"\nlabels = \"gone\"\ntrain = 4", "x.toml:6:10", "gone` cannot be opened"),
        (
            "images = \"six\"\nlabels = \"two-labels\"\ntrain = 4",
            "x.toml:6:10",
            "2 labels, expected one for each of the 6 samples",
        ),
        ("images = \"six\"\ntrain = 4\ntest = 3", "x.toml:7:8", "overlap: `images` has 6"),
        ("images = \"six\"\ntrain = 7", "x.toml:6:9", "at most the 6 rows of `images`, got 7"),
        ("images = \"six\"", "x.toml:5:10", "give `train` and `test`"),
        ("images = \"six\"\ntrain = 0", "x.toml:6:9", "at least 1, got 0"),
        ("train = 3", "x.toml:4:8", "`images` is missing"),
    ];
    for (dataset, at, message) in cases {
        refused_in(&images(dataset), &[at, message, "dataset `idx`"]);
    }
}

/// Paths in a file start from that file, those of `--set` from the folder of the command.
#[test]
fn a_relative_path_starts_from_the_file_it_is_written_in() {
    let place = images("images = \"six\"\ntrain = 4");
    fs::create_dir(place.path("sub")).unwrap();
    fs::rename(place.path("x.toml"), place.path("sub/x.toml")).unwrap();
    place.run(["check", "sub/x.toml"]).exits(2).complains(["sub/x.toml:5:10", "sub/six`"]);
    place.run(["list", "sub/x.toml", "--set", "dataset.images=six"]).exits(0);
    let said = place.run(["list", "sub/x.toml", "--set", "dataset.images=seven"]).exits(2);
    said.complains(["--set dataset.images=seven:1:16", "seven` cannot be opened"]);
}

#[test]
fn evaluations_that_need_what_the_data_has_not_are_refused() {
    let evaluate = "\n[evaluate]\nkinds = [\"sparsity\", \"probe\", \"recovery\"]\n";
    let place = images("images = \"six\"\ntrain = 4");
    place.write("x.toml", place.read("x.toml") + evaluate);
    refused_in(&place, &["x.toml:20:22", "a probe learns labels", "x.toml:20:31", "recovery"]);
    refused(
        &with("[evaluate]\nkinds = [\"recovery\"]"),
        &["x.toml:17:10", "evaluation `recovery`"],
    );
}

/// An engine that does not cover a run is refused where it is asked for, with the reason.
#[test]
fn an_engine_that_does_not_cover_the_run_is_refused() {
    refused(
        &with("engine = \"reference\"\nprecision = \"bf16\""),
        &["x.toml:17:13", "train: precision: the reference engine trains in `f32` only"],
    );
    let axis = with("precision = \"bf16\"\n[grid]\n\"train.engine\" = [\"fused\", \"reference\"]");
    refused(&axis, &["x.toml:16:13", "the reference engine trains in `f32` only"]);

    let penalty = changed("\"l1\"", "\"soft-threshold\"");
    let architecture = changed("\"dense\"", "\"two-layer\"");
    for (text, reason) in [
        (penalty, "the fused engine trains penalties of the code alone"),
        (architecture, "the fused engine trains dense architectures of one hidden layer"),
    ] {
        for (setting, place, and) in [
            (
                "engine = \"fused\"",
                "x.toml:16:10",
                "`auto` takes the reference engine for this run",
            ),
            ("precision = \"bf16\"", "x.toml:16:13", "the reference engine trains in `f32` only"),
        ] {
            let place_of = Place::with(&format!("{text}{setting}\n"));
            let said = place_of.run_outside(["x.toml"]).exits(2).complains([place, reason, and]);
            assert!(!place_of.has_results(), "something was written:\n{said}");
        }
        let axis = format!("{text}[grid]\n\"train.engine\" = [\"reference\", \"fused\"]\n");
        let place = Place::with(&axis);
        place.run_outside(["x.toml"]).exits(2).complains(["x.toml:17:1", reason]);
        for setting in ["", "engine = \"reference\""] {
            let place = Place::with(&format!("{text}{setting}\n"));
            place.run_outside(["check", "x.toml"]).exits(0);
        }
    }
}

#[test]
fn a_grid_of_more_than_a_million_runs_is_refused_at_once() {
    let grid = "[grid]\n\"penalty.lambda\" = { log = [0.1, 1], points = 1001 }\n\
                \"train.optimizer.lr\" = { log = [0.1, 1], points = 1000 }\n\
                \"architecture.latents\" = [8, 16]";
    let started = Instant::now();
    let parts = [
        "this grid has 2002000 runs; at most 1000000 are allowed",
        "x.toml:17:1",
        "`penalty.lambda` with 1001 values, `train.optimizer.lr` with 1000 values",
    ];
    refused(&with(grid), &parts);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?}");
}

#[test]
fn a_number_in_the_data_that_is_none_is_refused_with_its_row() {
    let text = |nan: &str| changed("\"digits\"", &format!("\"waves\"{nan}"));
    let place = Place::with(&text("\nnan_at = 5"));
    let parts = ["x.toml:4:8", "the training sample 5 holds NaN at input 0"];
    place.run_outside(["x.toml"]).exits(2).complains(parts);
    assert!(!place.has_results());
    Place::with(&text("")).run_outside(["check", "x.toml"]).exits(0);
}

/// Everything in one pass: top level, every section, the grid and the seeds.
#[test]
fn several_mistakes_are_reported_together() {
    let text = "nam = \"x\"\nseeds = [1, 1]\n\n[dataset]\nkind = \"digit\"\n\n[architecture]\n\
                kind = \"dense\"\nlatents = 0\nactivation = \"rellu\"\n\n[penalty]\nkind = \"l1\"\n\
                lamda = 1\n\n[train]\nepochs = 1\nsteps = 1\nbatch = \"x\"\n\
                optimizer = { kind = \"adm\" }\n\n[evaluate]\nkinds = [\"nothing\"]\nevry = 1\n\n\
                [run]\nretries = -1\n";
    let parts = [
        "x.toml:1:1",
        "`name`",
        "x.toml:2:13",
        "x.toml:5:8",
        "x.toml:9:11",
        "x.toml:10:14",
        "x.toml:14:1",
        "`lambda` is missing",
        "x.toml:18:1",
        "x.toml:19:9",
        "x.toml:20:22",
        "x.toml:23:10",
        "x.toml:24:1",
        "x.toml:27:11",
        "errors; nothing was run",
    ];
    let said = refused(text, &parts);
    assert_eq!(errors(&said), 14, "{said}");
    let lines = said.err.lines().filter_map(|line| line.trim().strip_prefix("--> x.toml:"));
    let lines: Vec<usize> =
        lines.map(|at| at.split(':').next().unwrap().parse().unwrap()).collect();
    assert!(lines.is_sorted(), "in the order of the file, not {lines:?}");
}

/// Wrong if a comparison that cannot be made were only found out when runs have come to it.
#[test]
fn halving_by_what_is_not_there_is_refused() {
    let halving = |inside: &str| with(&format!("[run]\nhalving = {{ {inside} }}"));
    refused(
        &halving("metric = \"test_msse\""),
        &["x.toml:17:22", "measures `test_msse`", "did you mean `test_mse`?"],
    );
    refused(
        &halving("metric = \"test_l0\""),
        &["x.toml:17:22", "`test_l0` may be good low or high", "best = \"lowest\" or"],
    );
    let late = halving("metric = \"test_probe_accuracy\"")
        .replace("[run]", "[evaluate]\nkinds = [\"sparsity\", \"probe\"]\n[run]");
    refused(&late, &["x.toml:19:22", "measured at the end of a run only", "test_dead_fraction"]);
    let mistakes = "eta = 1, first = 1.0, within = [\"penalty.lamda\"]";
    let said = refused(
        &halving(&format!("metric = \"test_mse\", {mistakes}")),
        &[
            "x.toml:17:40",
            "expected a number greater than 1, got 1.0",
            "x.toml:17:51",
            "a rate strictly",
        ],
    );
    assert_eq!(errors(&said), 2, "{said}");
    let axis = "metric = \"test_mse\", eta = 1.000001, within = [\"penalty.lamda\"]";
    let text = format!("{}[grid]\n\"penalty.lambda\" = [0.1, 1.0]\n", halving(axis));
    let said = refused(
        &text,
        &[
            "more than 32 rungs",
            "`penalty.lamda` is no axis of the grid",
            "did you mean `penalty.lambda`?",
        ],
    );
    assert_eq!(errors(&said), 2, "{said}");
    refused(&halving("eta = 2"), &["x.toml:17:11", "`metric` is missing"]);
    refused(&halving("metric = \"test_mse\", etta = 2"), &["did you mean `eta`?"]);
    refused(&with("[run]\nhalving = 3"), &["x.toml:17:11", "`run.halving` is a table"]);
}

#[test]
fn misfits_of_all_runs_are_reported_together() {
    let text = with(
        "[evaluate]\nkinds = [\"recovery\"]\n[grid]\npenalty = [{ kind = \"k-sparse\", k = 17 }, \
         { kind = \"kl\", rho = 0.1, beta = 1 }, { kind = \"l1\", lambda = 1 }]",
    );
    let parts = ["x.toml:17:10", "x.toml:19:37", "x.toml:19:52", "3 errors; nothing was run"];
    refused(&text, &parts);
}

#[test]
fn overrides_that_are_wrong_are_shown_as_they_were_given() {
    let place = Place::with(TINY);
    for (set, parts) in [
        ("penalty.lamda=1", &["--set penalty.lamda=1:1:1", "did you mean `lambda`?"][..]),
        ("penalty.lambda=-1", &["--set penalty.lambda=-1:1:16", "at least 0, got -1"]),
        ("penalty.lambda=nan", &["--set penalty.lambda=nan:1:16", "a finite number"]),
        ("penalty.kind=l2", &["--set penalty.kind=l2:1:14", "did you mean `l1`?"]),
        ("penalty.lambda", &["an override is KEY=VALUE", "as in --set"]),
        ("=3", &["no TOML key"]),
        ("penalty.lambda=", &["--set penalty.lambda=:1:"]),
        ("name.x=3", &["cannot be set here"]),
        ("train.epochs=[", &["--set train.epochs=[:1:"]),
    ] {
        place.run(["x.toml", "--set", set]).exits(2).complains(parts.iter().copied());
    }
    assert!(!place.has_results());
}

#[test]
fn the_command_line_is_checked() {
    let place = Place::with(TINY);
    for words in [
        &["x.toml", "--job", "2"][..],
        &["x.toml", "-j", "0"],
        &["x.toml", "--threads-per-run", "none"],
        &["x.toml", "--progress", "loud"],
        &["x.toml", "extra"],
        &["status"],
    ] {
        let said = place.run(words).exits(2);
        assert!(said.err.contains("error: ") && said.out.is_empty(), "{said}");
    }
    place.run(["x.toml", "--rerun", "0123"]).exits(2).complains(["--rerun 0123"]);
    place.run(["plugins", "penalti"]).exits(2).complains(["did you mean `penalty`?"]);
    place.run(["plugins", "penalty", "l3"]).exits(2).complains(["did you mean `l1`?"]);
    let none: [&str; 0] = [];
    assert!(!place.run(none).err.is_empty(), "short help where nothing is asked for");
    assert!(place.run(["--help"]).exits(0).out.contains("Example: saegrid"));
    assert!(place.run(["--version"]).exits(0).out.starts_with("saegrid "));
}

#[test]
fn output_that_cannot_be_written_is_named() {
    let place = Place::with(TINY);
    place.write("file", "");
    for folder in ["file", "file/below"] {
        let said = place.run(["x.toml", "--output-dir", folder]).exits(74);
        said.complains([format!("`{folder}/tiny").as_str()]);
    }
    fs::create_dir_all(place.path("taken/tiny")).unwrap();
    place.write("taken/tiny/runs", "");
    place.run(["x.toml", "--output-dir", "taken"]).exits(74).complains(["taken/tiny/runs"]);
    let events = place.run(["x.toml", "--events", "no/such/folder"]).exits(74);
    events.complains(["no/such/folder"]);
    assert_eq!(place.read("file"), "");
    let status = place.run(["status", "nowhere"]).exits(74);
    status.complains(["`nowhere` is no experiment folder"]);
}

/// A folder of the system's that not even root can write to; where there is none, a folder
/// without the right to write, which holds for everybody but root.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_is_read_only_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with(TINY);
    let said = place.run(["x.toml", "--output-dir", "/proc/sys/results"]).exits(74);
    said.complains(["/proc/sys/results"]);

    let locked = place.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!(
            "SKIPPED: a folder without the right to write; this user (root?) may write to it"
        );
        return;
    }
    let said = place.run(["x.toml", "--output-dir", "locked"]).exits(74);
    said.complains(["locked/tiny", "Permission denied"]);
}

/// Results of a newer version are neither changed nor taken for something else.
#[test]
fn a_folder_of_a_newer_format_is_left_alone() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    let invocation =
        place.read("results/tiny/invocation.json").replace("\"format\": 1", "\"format\": 2");
    place.write("results/tiny/invocation.json", &invocation);
    place.run(["x.toml"]).exits(75).complains(["newer version", "results/tiny"]);
    place.run(["status", "results/tiny"]).exits(75);
    assert_eq!(place.read("results/tiny/invocation.json"), invocation);
}
