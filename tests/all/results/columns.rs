//! Columns that say what a method buys: groups, selectivity for classes, small weights, the Jacobian.

use tables::Table;

use crate::support::program::{Place, columns, numbers, texts};

fn text(dataset: &str, grid: &str) -> String {
    format!(
        "name = \"x\"\n[dataset]\n{dataset}\n[architecture]\nkind = \"dense\"\nlatents = 8\n\
         [train]\nepochs = 2\nbatch = 16\n[grid]\n{grid}\n"
    )
}

fn column(place: &Place, table: &str, name: &str) -> Vec<Option<f64>> {
    numbers(&place.table(&format!("x/{table}")), name)
}

fn has(table: &Table, name: &str) -> bool {
    columns(table).iter().any(|column| column == name)
}

/// Wrong if a run without groups had a number, the groups were those of another size, an auxiliary's groups were
/// not seen, or old tables had to have the columns.
#[test]
fn groups_have_columns_where_there_are_groups() {
    let grid = "auxiliary = [[], [{ kind = \"group-lasso\", lambda = 0.1, group_size = 2 }]]\n\
                penalty = [{ kind = \"l1\", lambda = 0.1 }, { kind = \"group-lasso\", lambda = 0.1, group_size = 4 }]";
    let place = Place::with(&text("kind = \"waves\"", grid));
    place.run_outside(["x.toml"]).exits(0);
    let runs = place.table("x/runs");
    let active = numbers(&runs, "test_active_groups");
    for (at, penalty) in texts(&runs, "penalty").iter().enumerate() {
        let has_auxiliary = texts(&runs, "auxiliary")[at] == "group-lasso";
        assert_eq!(active[at].is_some(), has_auxiliary || penalty == "group-lasso", "{active:?}");
        let most = if penalty == "group-lasso" { 2.0 } else { 4.0 };
        assert!(active[at].is_none_or(|active| active > 0.0 && active <= most));
        let l0 = numbers(&runs, "test_l0")[at].unwrap();
        assert!(active[at].is_none_or(|active| active <= l0), "a group has an active latent");
    }
    let groups = column(&place, "latents", "group");
    let none = groups.chunks(8).filter(|of_run| **of_run == [None; 8]).count();
    let twos = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0].map(Some);
    let fours = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0].map(Some);
    let count = |right: [Option<f64>; 8]| groups.chunks(8).filter(|run| **run == right).count();
    assert_eq!((none, count(twos), count(fours)), (1, 1, 2), "{groups:?}");
    assert!(column(&place, "history", "test_active_groups").iter().any(Option::is_some));

    let plain = Place::with(&text("kind = \"waves\"", "\"penalty\" = [{ kind = \"none\" }]"));
    plain.run_outside(["x.toml"]).exits(0);
    assert!(!has(&plain.table("x/runs"), "test_active_groups"));
    assert!(!has(&plain.table("x/latents"), "group"));
}

/// Wrong if data without labels had a selectivity, or a latent lacked its own.
#[test]
fn latents_are_selective_for_classes_where_there_are_classes() {
    let grid = "\"penalty\" = [{ kind = \"k-sparse\", k = 2 }]";
    let labelled = Place::with(&text("kind = \"waves\"\nlabels = true", grid));
    labelled.run_outside(["x.toml"]).exits(0);
    let of_latents = column(&labelled, "latents", "class_selectivity");
    let rates = column(&labelled, "latents", "firing_rate");
    for (selectivity, rate) in of_latents.iter().zip(&rates) {
        assert_eq!(selectivity.is_some(), *rate > Some(0.0));
        assert!(selectivity.is_none_or(|share| share > 0.333 && share <= 1.0), "{of_latents:?}");
    }
    let defined: Vec<f64> = of_latents.into_iter().flatten().collect();
    let mean = defined.iter().sum::<f64>() / defined.len() as f64;
    assert!((column(&labelled, "runs", "test_class_selectivity")[0].unwrap() - mean).abs() < 1e-12);

    let plain = Place::with(&text("kind = \"waves\"", grid));
    plain.run_outside(["x.toml"]).exits(0);
    assert!(!has(&plain.table("x/runs"), "test_class_selectivity"));
    assert!(!has(&plain.table("x/latents"), "class_selectivity"));
}

/// Wrong if the decay of one half were seen in the other, or tied weights differed from themselves.
#[test]
fn small_weights_are_counted_by_half() {
    let grid = "auxiliary = [[], [{ kind = \"weight-decay\", norm = \"l1\", lambda = 100, of = \"encoder\", decoupled = true }]]\n\
                \"architecture.tied\" = [false, true]";
    let place = Place::with(&text("kind = \"waves\"", grid));
    place.run_outside(["x.toml"]).exits(0);
    let runs = place.table("x/runs");
    let [encoder, decoder] =
        ["encoder", "decoder"].map(|half| numbers(&runs, &format!("{half}_weights_below_1e_3")));
    let tied = texts(&runs, "architecture_tied");
    let decayed = texts(&runs, "auxiliary");
    for at in 0..4 {
        let (encoder, decoder) = (encoder[at].unwrap(), decoder[at].unwrap());
        let is_decayed = decayed[at] == "weight-decay";
        assert_eq!(encoder > 0.5, is_decayed, "{encoder}");
        match tied[at].as_str() {
            "true" => assert_eq!(encoder, decoder),
            _ => assert!(decoder < 0.1, "{decoder}"),
        }
    }
    for metric in ["encoder_weights_below_1e_3", "test_jacobian"] {
        let said =
            place.run_outside(["compare", "results/x", "--by", "auxiliary", "--metric", metric]);
        assert!(said.exits(0).out.contains(metric), "{metric} can be compared by");
    }
}
