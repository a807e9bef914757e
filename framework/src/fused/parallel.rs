//! Work on several threads whose result does not depend on how many there are.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Does every task, each on whichever thread is free, with the scratch of that thread. There are as
/// many threads as there are scratches, at most those of the current rayon pool.
///
/// Tasks own what they write (parts of it come with them), so the result is the same whoever does
/// them, and in whatever order.
pub fn parallel<S: Send, T: Send>(
    scratches: &mut [S],
    tasks: impl Iterator<Item = T> + Send,
    work: impl Fn(&mut S, T) + Sync,
) {
    if let [own] = scratches {
        return awake(|| tasks.for_each(|task| work(own, task)));
    }
    let tasks = Mutex::new(tasks);
    // A panic elsewhere poisons the lock; it is passed on when all have ended.
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    on_each(scratches, &|scratch| {
        while let Some(task) = next() {
            work(scratch, task);
        }
    });
    SMALL_ONES.set(MOST_SMALL_ONES);
}

/// Multiplications that one thread does in the time that it takes to have another help, and to wait for it.
const WORTH_WAKING: usize = 1 << 20;

/// The scratches of the threads that are worth waking for so many multiplications: all, or the first alone.
pub fn worth<S>(scratches: &mut [S], multiplications: usize) -> &mut [S] {
    let few = if multiplications < WORTH_WAKING { 1 } else { scratches.len() };
    &mut scratches[..few]
}

/// Pieces of work on one thread, after one on several, that are taken to be followed by another on several soon.
const MOST_SMALL_ONES: u32 = 12;

thread_local! {
    /// How many such pieces may still come.
    static SMALL_ONES: Cell<u32> = const { Cell::new(0) };
}

/// Does what is too little for several threads. Where that stands between pieces that are not, the others are kept
/// from falling asleep meanwhile: to wake them takes longer than this.
pub fn awake<R>(work: impl FnOnce() -> R) -> R {
    let (small_ones, others) = (SMALL_ONES.get(), rayon::current_num_threads() - 1);
    if small_ones == 0 || others == 0 {
        return work();
    }
    SMALL_ONES.set(small_ones - 1);
    let is_done = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        for _ in 0..others {
            scope.spawn(|_| {
                while !is_done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let _done = Done(&is_done);
        work()
    })
}

/// Sets its flag when it goes, also where work panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `work` with every scratch, each on a thread of its own as far as there are any.
fn on_each<S: Send>(scratches: &mut [S], work: &(impl Fn(&mut S) + Sync)) {
    match scratches {
        [] => {}
        [own] => work(own),
        more => {
            let (left, right) = more.split_at_mut(more.len() / 2);
            rayon::join(|| on_each(left, work), || on_each(right, work));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a panic left other threads waiting for ever, or if work in between were not done.
    #[test]
    fn small_work_between_is_done_and_its_panic_is_passed_on() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        pool.install(|| {
            parallel(&mut [0; 3], 0..9, |_, _| ());
            assert_eq!(awake(|| 7), 7);
            assert!(std::panic::catch_unwind(|| awake(|| panic!("on purpose"))).is_err());
            assert_eq!(awake(|| 8), 8);
        });
    }

    #[test]
    fn every_task_is_done_once_with_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let mut counts = vec![0; 100];
            let mut scratches = vec![0; threads];
            parallel(&mut scratches, counts.iter_mut().enumerate(), |scratch, (at, count)| {
                *count += at;
                *scratch += 1;
            });
            assert!(counts.iter().enumerate().all(|(at, count)| at == *count));
            assert_eq!(scratches.iter().sum::<usize>(), 100);
        }
    }
}
