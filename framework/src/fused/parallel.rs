//! Work on several threads whose result does not depend on how many there are.

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
        return tasks.for_each(|task| work(own, task));
    }
    let tasks = Mutex::new(tasks);
    // A panic elsewhere poisons the lock; it is passed on when all have ended.
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    on_each(scratches, &|scratch| {
        while let Some(task) = next() {
            work(scratch, task);
        }
    });
}

/// Multiplications that one thread does in the time that it takes to wake another and to wait for it, twice.
const WORTH_WAKING: usize = 1 << 22;

/// The scratches of the threads that are worth waking for so many multiplications: all, or the first alone.
pub fn worth<S>(scratches: &mut [S], multiplications: usize) -> &mut [S] {
    let few = if multiplications < WORTH_WAKING { 1 } else { scratches.len() };
    &mut scratches[..few]
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
