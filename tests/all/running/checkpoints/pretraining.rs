//! Pretraining: what it depends on, what comes of it, and what becomes of a run that ends in it.

use std::collections::BTreeMap;

use framework::train::{Ended, Progress, Watch, Wish};

use super::resume::{Left, left};
use super::{attempt, done};

/// Watches pretraining and the steps after it.
#[derive(Default)]
struct Watched {
    /// The step of pretraining at which the attempt ends, and the way.
    ends_in_pretraining: Option<(usize, Wish)>,
    /// The step of the run at which the attempt ends.
    ends_at: Option<usize>,
    /// Steps of pretraining that were seen, and the number there are.
    pretrained: (usize, usize),
    kept: Option<(usize, Vec<u8>)>,
    /// The loss and the number of active latents after each step.
    curve: BTreeMap<usize, [u64; 2]>,
}

impl Watch for Watched {
    fn step(&mut self, progress: &Progress) -> Wish {
        self.curve.insert(progress.step, [progress.loss, progress.l0].map(f64::to_bits));
        if self.ends_at == Some(progress.step) { Wish::Abandon } else { Wish::GoOn }
    }

    fn pretraining(&mut self, progress: &Progress) -> Wish {
        self.pretrained.0 += 1;
        assert_eq!(progress.step, self.pretrained.0);
        self.pretrained.1 = progress.steps;
        let end = self.ends_in_pretraining.filter(|end| end.0 == progress.step);
        end.map_or(Wish::GoOn, |end| end.1)
    }

    fn keep(&mut self, step: usize, bytes: Vec<u8>) -> Result<(), String> {
        self.kept = Some((step, bytes));
        Ok(())
    }
}

/// A run of three layers on digits: pretraining takes 3 · 2 · 3 steps, the run 4.
fn text(settings: &str, train: &str) -> String {
    format!(
        "name = \"p\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"deep\"\nlatents = 5\n\
         hidden = [12, 7]\n{settings}\n[penalty]\nkind = \"k-sparse\"\nk = 2\n\
         [train]\nsteps = 4\nbatch = 500\noptimizer = {{ kind = \"adam\", lr = 1e-2 }}\n{train}\n\
         [evaluate]\nkinds = [\"reconstruction\"]\n"
    )
}

fn to_the_end(text: &str, from: Option<Vec<u8>>) -> (Left, Watched) {
    let mut watched = Watched::default();
    let found = attempt(text, from, &mut watched, |ended| left(ended, BTreeMap::new()));
    (Left { curve: watched.curve.clone(), ..found }, watched)
}

/// Wrong if a run that ends in pretraining went on otherwise than from its start, if one that ends after it
/// repeated it, or if the end of either differed from that of an undisturbed run.
#[test]
fn a_run_that_ends_in_pretraining_starts_anew_and_one_that_ends_after_it_does_not() {
    for (settings, train) in [
        ("pretrain_epochs = 2", ""),
        (
            "pretrain_epochs = 2\ntied = true\nhidden_activation = \"tanh\"",
            "engine = \"reference\"",
        ),
        (
            "pretrain_epochs = 2\ndecoder = \"sigmoid\"\nhidden_activation = \"sigmoid\"",
            "batches = \"stratified\"\nclip_norm = 1\nschedule = { kind = \"cosine\" }",
        ),
    ] {
        let text = text(settings, train);
        let (right, whole) = to_the_end(&text, None);
        assert_eq!(whole.pretrained, (18, 18));
        let (step, after) = whole.kept.expect("it is kept right after pretraining");
        assert_eq!(step, 0);
        assert_eq!(right.samples, 3 * 2 * 1437 + 1437 + 500);

        for (at, wish) in [(1, Wish::Stop), (10, Wish::Abandon), (18, Wish::Stop)] {
            let mut cut = Watched { ends_in_pretraining: Some((at, wish)), ..Watched::default() };
            attempt(&text, None, &mut cut, |ended| match (ended, wish) {
                (Ended::Stopped { step: 0 }, Wish::Stop) => {}
                (Ended::Abandoned { step: 0 }, Wish::Abandon) => {}
                _ => panic!("it was to end in pretraining"),
            });
            assert_eq!((cut.pretrained.0, cut.kept.is_some()), (at, false));
        }
        let mut cut = Watched { ends_at: Some(2), ..Watched::default() };
        attempt(&text, None, &mut cut, |ended| {
            assert!(matches!(ended, Ended::Abandoned { step: 2 }));
        });
        assert_eq!(cut.kept.unwrap().1.len(), after.len());

        let (found, resumed) = to_the_end(&text, Some(after));
        assert_eq!(resumed.pretrained, (0, 0), "it is not repeated");
        assert!(found == right, "{found:?}\nis not\n{right:?}\nof\n{text}");
    }
}

/// Wrong if pretraining depended on the number of threads.
#[test]
fn pretraining_is_the_same_on_any_number_of_threads() {
    let text = text("pretrain_epochs = 1", "");
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| to_the_end(&text, None).0)
    };
    let right = on(1);
    assert!(on(2) == right && on(3) == right);
}

/// Wrong if what was learnt in pretraining were lost, or a layer got what another had learnt.
#[test]
fn a_pretrained_run_starts_with_a_lower_loss() {
    for settings in ["", "tied = true", "hidden_activation = \"tanh\"", "decoder = \"sigmoid\""] {
        let first_loss = |epochs: usize| {
            let text = text(&format!("{settings}\npretrain_epochs = {epochs}"), "")
                .replace("kind = \"k-sparse\"\nk = 2", "kind = \"none\"");
            f64::from_bits(to_the_end(&text, None).1.curve[&1][0])
        };
        let (before, after) = (first_loss(0), first_loss(30));
        assert!(after < 0.6 * before, "{settings}: {after} after, {before} before");
    }
}

/// Wrong if a run without pretraining were another run than before there was such a thing, or kept a checkpoint that
/// nobody asked for.
#[test]
fn no_epochs_of_pretraining_are_none() {
    let (right, watched) = to_the_end(&text("", ""), None);
    assert_eq!((watched.pretrained, watched.kept), ((0, 0), None));
    assert!(to_the_end(&text("pretrain_epochs = 0", ""), None).0 == right);
    let other = text("pretrain_epochs = 1", "");
    let mut watched = Watched::default();
    let trained = attempt(&other, None, &mut watched, |ended| done(ended).training);
    assert!(!trained.is_zero());
    assert!(to_the_end(&other, None).0 != right);
}

/// Wrong if a loss that is no number in pretraining went on as a run.
#[test]
fn a_run_can_diverge_in_pretraining() {
    let text = text("pretrain_epochs = 5\nactivation = \"identity\"", "")
        .replace("kind = \"adam\", lr = 1e-2", "kind = \"sgd\", lr = 1e9");
    let mut watched = Watched::default();
    attempt(&text, None, &mut watched, |ended| {
        assert!(matches!(ended, Ended::Diverged { step: 0, last_loss: Some(_) }));
    });
    assert!(watched.kept.is_none() && watched.curve.is_empty());
}
