//! How interrupted runs end: by time, by divergence, by a full disk.

use std::time::Duration;

use framework::train::{Checkpoint, Ended, Progress, Watch, Wish};

use super::{Plan, attempt, checkpoint_at, done, patched, small};

/// The time of earlier attempts counts: for whoever watches, and in the history.
#[test]
fn the_time_of_earlier_attempts_counts() {
    const NAP: Duration = Duration::from_millis(60);
    struct Sleeper(Option<Vec<u8>>);
    impl Watch for Sleeper {
        fn step(&mut self, _: &Progress) -> Wish {
            std::thread::sleep(NAP);
            Wish::Stop
        }

        fn keep(&mut self, _: usize, bytes: Vec<u8>) -> Result<(), String> {
            self.0 = Some(bytes);
            Ok(())
        }
    }
    let text = small("fused", "");
    let mut sleeper = Sleeper(None);
    attempt(&text, None, &mut sleeper, |ended| {
        assert!(matches!(ended, Ended::Stopped { step: 1 }));
    });
    let bytes = sleeper.0.unwrap();
    assert!(Checkpoint::read(&bytes).unwrap().elapsed() >= NAP);
    let mut earlier = Duration::ZERO;
    let mut watch = |progress: &Progress| earlier = progress.earlier;
    attempt(&text, Some(bytes.clone()), &mut watch, |ended| drop(done(ended)));
    assert!(earlier >= NAP, "whoever looks on is told, and may find it too much");
    attempt(&text, Some(bytes), &mut Plan::to_the_end(), |ended| {
        let history = done(ended).history;
        assert!(history.iter().all(|row| row.seconds >= NAP.as_secs_f64()), "{history:?}");
    });
}

/// So does the training time, from which the results compute a rate.
#[test]
fn the_training_of_earlier_attempts_counts() {
    let text = small("fused", "");
    let trained_for_9_s =
        patched(&checkpoint_at(&text, 5), "\\\"training\\\":{\\\"secs\\\":0", b'9');
    attempt(&text, Some(trained_for_9_s), &mut Plan::to_the_end(), |ended| {
        let training = done(ended).training;
        assert!(training > Duration::from_secs(9), "{training:?}");
    });
}

/// A checkpoint that cannot be kept ends the run, and says why.
#[test]
fn a_checkpoint_that_cannot_be_kept_ends_the_run() {
    struct FullDisk;
    impl Watch for FullDisk {
        fn step(&mut self, _: &Progress) -> Wish {
            Wish::Checkpoint
        }

        fn keep(&mut self, step: usize, _: Vec<u8>) -> Result<(), String> {
            if step < 3 { Ok(()) } else { Err("the disk is full".to_owned()) }
        }
    }
    attempt(&small("fused", ""), None, &mut FullDisk, |ended| {
        assert!(
            matches!(ended, Ended::NotKept { step: 3, reason } if reason == "the disk is full")
        );
    });
}

/// A run that was stopped right before it diverges does so at the same step, with the same last loss.
#[test]
fn a_run_diverges_as_if_it_had_not_been_stopped() {
    let text = small("fused", "")
        .replace("steps = 8", "steps = 50\noptimizer = { kind = \"sgd\", lr = 1e3 }")
        // Else evaluation finds the parameters not finite before the loss is.
        .replace("every = 2", "every = 50");
    let diverged = |from: Option<Vec<u8>>| {
        attempt(&text, from, &mut Plan::to_the_end(), |ended| match ended {
            Ended::Diverged { step, last_loss } => (step, last_loss.map(f64::to_bits)),
            _ => panic!("the run did not diverge"),
        })
    };
    let right = diverged(None);
    let (step, last_loss) = right;
    assert!(step > 2 && last_loss.is_some());
    assert_eq!(diverged(Some(checkpoint_at(&text, step - 1))), right);
}
