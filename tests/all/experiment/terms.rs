//! What terms of the loss need of a run's data, code and architecture: a run without it is refused at its line,
//! before anything trains.

use crate::support::program::{Place, idx};

/// Data without labels.
const UNLABELED: &str =
    "kind = \"sparse-dictionary\"\ninputs = 6\nfeatures = 8\nactive = 2\ntrain = 20\ntest = 9";

/// An architecture of another crate, without a Jacobian and a dictionary of one matrix.
const TWO_LAYER: &str = "kind = \"two-layer\"\ncode = \"first\"";

const DENSE: &str = "kind = \"dense\"";

/// An experiment with 16 latents; `[train]` is its last section.
fn text(dataset: &str, architecture: &str, penalty: &str, rest: &str) -> String {
    format!(
        "name = \"refused\"\n[dataset]\n{dataset}\n[architecture]\n{architecture}\nlatents = 16\n\
         [penalty]\n{penalty}\n[train]\nepochs = 1\n{rest}\n"
    )
}

/// `run` refuses the experiment at the value in this line, with this message, and writes nothing.
#[track_caller]
fn refused(text: &str, line: &str, message: &str) {
    let at = text.lines().position(|found| found == line);
    let place = format!("x.toml:{}:{}", at.unwrap() + 1, line.find("= ").unwrap() + 3);
    let folder = Place::with(text);
    folder.run_outside(["x.toml"]).exits(2).complains([&*place, message]);
    assert!(!folder.has_results());
}

/// Wrong if groups of classes trained without classes, as a penalty or beside one, in whatever order batches are.
#[test]
fn class_groups_are_refused_without_labels() {
    let classes = "kind = \"class-group-lasso\"\nlambda = 0.1";
    let message = "it needs labels of the training samples, and the dataset has none";
    let line = "kind = \"class-group-lasso\"";
    refused(&text(UNLABELED, DENSE, classes, ""), line, message);
    let beside = format!("[[auxiliary]]\n{classes}");
    refused(&text(UNLABELED, DENSE, "kind = \"none\"", &beside), line, message);
    refused(&text(UNLABELED, DENSE, classes, "batches = \"stratified\""), line, message);

    // A file of images has labels where it is told of them.
    let place = Place::new();
    place.write("images", idx(&[8, 1, 2], &[7; 16]));
    place.write("labels", idx(&[8], &[0, 1, 0, 1, 0, 1, 0, 1]));
    let images = "kind = \"idx\"\nimages = \"images\"\ntrain = 6\ntest = 2";
    place.write("x.toml", text(images, DENSE, classes, ""));
    place.run(["check", "x.toml"]).exits(2).complains(["x.toml:11:8", message]);
    place.write("x.toml", text(&format!("{images}\nlabels = \"labels\""), DENSE, classes, ""));
    place.run(["check", "x.toml"]).exits(0);
}

/// Wrong if groups that do not divide the latents were cut, by one of the kinds or beside a penalty.
#[test]
fn group_sizes_that_do_not_divide_are_refused() {
    let message =
        "groups of 5 do not divide 16 latents; the smallest sizes that do: 1, 2, 4, 8, 16";
    for groups in [
        "kind = \"group-lasso\"\nlambda = 0.1\ngroup_size = 5",
        "kind = \"sparse-group-lasso\"\nlambda = 0.1\ngroup_lambda = 0.1\ngroup_size = 5",
    ] {
        refused(&text("kind = \"digits\"", DENSE, groups, ""), "group_size = 5", message);
        let beside = format!("[[auxiliary]]\n{groups}");
        let beside = text("kind = \"digits\"", DENSE, "kind = \"none\"", &beside);
        refused(&beside, "group_size = 5", message);
    }
}

/// Wrong if terms of a Jacobian or a dictionary were asked of an architecture that has none: that would be a panic
/// while training.
#[test]
fn terms_are_refused_where_the_architecture_lacks_what_they_need() {
    let contractive = "[[auxiliary]]\nkind = \"contractive\"\nlambda = 0.1";
    let jacobian = "it needs the Jacobian of its encoder, and the architecture has none";
    let none = "kind = \"none\"";
    refused(
        &text("kind = \"digits\"", TWO_LAYER, none, contractive),
        "kind = \"contractive\"",
        jacobian,
    );

    let weighted = "kind = \"l1\"\nlambda = 0.1\nnorm_weighted = true";
    let dictionary = "it needs a dictionary that is one matrix, and the architecture has none";
    let line = "norm_weighted = true";
    refused(&text("kind = \"digits\"", TWO_LAYER, weighted, ""), line, dictionary);
    let beside = format!("[[auxiliary]]\n{weighted}");
    refused(&text("kind = \"digits\"", TWO_LAYER, none, &beside), line, dictionary);
    let plain = weighted.replace("true", "false");
    Place::with(&text("kind = \"digits\"", TWO_LAYER, &plain, ""))
        .run_outside(["check", "x.toml"])
        .exits(0);
}

/// Wrong if dead latents were asked to predict where no decoder leaves its bias out, or to start again as directions
/// of samples where layers stand between: that would be a panic while training.
#[test]
fn latents_are_kept_alive_where_the_architecture_allows_it() {
    let digits = "kind = \"digits\"";
    let none = "kind = \"none\"";
    let auxk = "[[auxiliary]]\nkind = \"auxk\"";
    let resample = "[[auxiliary]]\nkind = \"resample\"\nevery = 2\nuntil = 9";
    let message = "it needs a decoder that can leave its bias out, and the architecture has none";
    refused(&text(digits, "kind = \"variational\"", none, auxk), "kind = \"auxk\"", message);
    let directions = "it needs latents that are directions of samples, with nothing between, and the architecture has none";
    for architecture in ["kind = \"deep\"\nhidden = [9]", "kind = \"variational\"\nhidden = []"] {
        let refusal = text(digits, architecture, none, resample);
        refused(&refusal, "kind = \"resample\"", directions);
    }
    for auxiliary in [auxk, resample] {
        for architecture in [DENSE, "kind = \"deep\"\nhidden = []"] {
            let place = Place::with(&text(digits, architecture, none, auxiliary));
            let listed = place.run(["list", "x.toml"]).exits(0);
            assert!(!listed.out.contains("reference"), "{listed}");
            place.run(["check", "x.toml"]).exits(0);
        }
    }
}

/// Wrong if the first of several mistakes hid the others: each is told in one pass.
#[test]
fn all_misfits_of_a_file_are_told_at_once() {
    let text = text(
        UNLABELED,
        TWO_LAYER,
        "kind = \"sparse-group-lasso\"\nlambda = 0.1\ngroup_lambda = 0.1\ngroup_size = 3",
        "objective = \"cross-entropy\"\nbatches = \"stratified\"\n[corruption]\nkind = \"block\"\nshare = 0.2\n\
         [[auxiliary]]\nkind = \"contractive\"\nlambda = 0.1\n[[auxiliary]]\nkind = \"class-group-lasso\"\n\
         lambda = 0.1\n[[auxiliary]]\nkind = \"l1\"\nlambda = 0.1\nnorm_weighted = true",
    );
    let place = Place::with(&text);
    place.run_outside(["x.toml"]).exits(2).complains([
        "penalty `sparse-group-lasso`: group_size: groups of 3 do not divide 16 latents",
        "`cross-entropy` needs an architecture with `decoder = \"sigmoid\"`",
        "`cross-entropy` needs data within [0, 1]",
        "`stratified` batches need labels, and the dataset has none",
        "it needs the Jacobian of its encoder",
        "it needs labels of the training samples",
        "norm_weighted: it needs a dictionary that is one matrix",
        "it needs images, and the samples are vectors",
    ]);
    assert!(!place.has_results());
}

/// Wrong if nobody was told that L1 on codes without zeros makes none sparse, as a penalty or beside one, or if
/// somebody was told so whose codes have zeros.
#[test]
fn terms_that_make_no_zeros_are_doubted() {
    let identity = "kind = \"dense\"\nactivation = \"identity\"";
    let l1 = "kind = \"l1\"\nlambda = 0.1";
    let group = "kind = \"group-lasso\"\nlambda = 0.1\ngroup_size = 4";
    let beside = format!("[[auxiliary]]\n{l1}");
    let (none, k_sparse) = ("kind = \"none\"", "kind = \"k-sparse\"\nk = 4");
    let said = |architecture: &str, penalty: &str, rest: &str| {
        let place = Place::with(&text("kind = \"digits\"", architecture, penalty, rest));
        place.run(["check", "x.toml"]).exits(0).err
    };
    for (architecture, penalty, rest, place) in [
        (identity, l1, "", "x.toml:9:"),
        (identity, group, "", "x.toml:9:"),
        (identity, none, &*beside, "x.toml:13:"),
        ("kind = \"variational\"", l1, "", "x.toml:8:"),
    ] {
        let said = said(architecture, penalty, rest);
        assert!(said.contains("warning") && said.contains("L0 counts every latent"), "{said}");
        assert!(said.contains(place) && said.contains("`budget`"), "{place}: {said}");
    }
    for (architecture, penalty, rest) in [
        (DENSE, l1, ""),
        ("kind = \"dense\"\nactivation = \"sigmoid\"", l1, ""),
        (identity, none, ""),
        (identity, k_sparse, &*beside),
    ] {
        let said = said(architecture, penalty, rest);
        assert!(!said.contains("warning"), "{said}");
    }
}
