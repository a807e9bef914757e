//! Bytes that are no checkpoint of the run are refused.

use framework::spec::{Optimizer, Precision, Sgd};
use framework::train::{Checkpoint, Ended, Engine, Progress, Trainer, Watch, Wish};

use super::{attempt, checkpoint_at, patched, small};
use crate::support::models::{architecture, model, penalty, runs};

/// Why a run refuses to resume from some bytes; `None` if it does one more step.
fn refusal(text: &str, bytes: Vec<u8>) -> Option<String> {
    struct OneStep;
    impl Watch for OneStep {
        fn step(&mut self, _: &Progress) -> Wish {
            Wish::Abandon
        }

        fn keep(&mut self, _: usize, _: Vec<u8>) -> Result<(), String> {
            unreachable!("nobody asked for it")
        }
    }
    attempt(text, Some(bytes), &mut OneStep, |ended| match ended {
        Ended::Refused(why) => Some(why),
        _ => None,
    })
}

/// Bytes that are cut short anywhere are refused. Bytes with a wrong one among them are refused or are
/// another checkpoint: nothing panics. (A digest verifies bytes before they are read; this test covers what a
/// digest cannot see.)
#[test]
fn damaged_bytes_are_refused_or_taken_but_never_panic() {
    for engine in ["fused", "reference"] {
        let text = small(engine, "");
        let right = checkpoint_at(&text, 5);
        assert_eq!(refusal(&text, right.clone()), None);
        for length in (0..right.len()).step_by(64).chain([right.len() - 1]) {
            let why = refusal(&text, right[..length].to_vec());
            assert!(why.is_some(), "{length} bytes of {} were taken", right.len());
        }
        let mut refused = 0;
        let places = (0..right.len()).step_by((right.len() / 400).max(1));
        for (at, flip) in places.flat_map(|at| [(at, 1), (at, 0x10), (at, 0xff)]) {
            let mut bytes = right.clone();
            bytes[at] ^= flip;
            refused += usize::from(refusal(&text, bytes).is_some());
        }
        assert!(refused > 100, "only {refused} were refused");
        let longer = [right.as_slice(), &[0]].concat();
        assert!(refusal(&text, longer).is_some());
    }
}

/// The checkpoint of another run, engine, precision, optimizer, size or format is refused, and the message
/// says what it belongs to.
#[test]
fn what_belongs_to_another_run_is_refused() {
    let text = small("fused", "");
    let right = checkpoint_at(&text, 5);
    let why = refusal(&small("fused", "seeds = [1]"), right.clone()).unwrap();
    assert!(why.contains("the checkpoint is of run "), "{why}");

    let newer = patched(&right, "\\\"format\\\":1", b'2');
    assert_eq!(refusal(&text, newer).unwrap(), "the checkpoint has format 2, this program reads 1");

    let (_, runs) = runs(&text);
    let (id, optimizer) = (&runs[0].id, runs[0].train.value.optimizer);
    let penalty = penalty("kind = \"drop-out\"\nlambda = 0.1");
    let checkpoint = Checkpoint::read(&right).unwrap();
    let restore = |latents: usize, engine: Engine, precision: Precision, optimizer: Optimizer| {
        let built = architecture(&format!("kind = \"dense\"\nlatents = {latents}"));
        let model =
            model(&*built.plugin, &*penalty.plugin, 5, 0).on(engine).in_precision(precision);
        checkpoint.restore(id, &mut Trainer::new(model, optimizer)).map(|_| ()).err()
    };
    let (fused, f32) = (Engine::Fused, Precision::F32);
    assert_eq!(restore(6, fused, f32, optimizer), None);
    let sgd =
        Optimizer::Sgd(Sgd { lr: 0.1.try_into().unwrap(), momentum: 0.0.try_into().unwrap() });
    for (why, part) in [
        (restore(6, Engine::Reference, f32, optimizer), "engine fused, precision F32, not of"),
        (restore(6, fused, Precision::Bf16, optimizer), "engine fused, precision F32, not of"),
        (restore(6, fused, f32, sgd), "other tensors"),
        (restore(7, Engine::Fused, f32, optimizer), "another size"),
    ] {
        assert!(why.as_ref().is_some_and(|why| why.contains(part)), "{why:?} without {part}");
    }
}

/// A step beyond the run is refused: the run would be measured as if it were trained to its end.
#[test]
fn a_step_beyond_the_end_is_refused() {
    let text = small("fused", "");
    let changed = patched(&checkpoint_at(&text, 5), "\\\"step\\\":5", b'9');
    assert_eq!(refusal(&text, changed).unwrap(), "the checkpoint is of step 9, the run has 8");
}
