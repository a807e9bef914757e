//! What depends on the data alone: found once a data set and shared by all runs on it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Facts about one data set, each found when somebody first asks for it. They are freed with the data.
#[derive(Default)]
pub struct DataFacts {
    known: Mutex<HashMap<(TypeId, String), Arc<Fact>>>,
}

/// A fact, once it is known.
type Fact = Mutex<Option<Arc<dyn Any + Send + Sync>>>;

impl DataFacts {
    /// Returns the fact of this name and type; `find` finds it unless it is known. Threads that ask for
    /// the same fact at the same time wait for the one that finds it, so `find` must not ask for its own.
    ///
    /// # Errors
    /// Those of `find`; then the next one who asks tries again.
    pub fn once<T: Send + Sync + 'static>(
        &self,
        name: &str,
        find: impl FnOnce() -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        let key = (TypeId::of::<T>(), name.to_owned());
        let fact = locked(&self.known).entry(key).or_default().clone();
        // Other facts can be asked for while this one is found.
        let mut fact = locked(&fact);
        if let Some(known) = fact.clone().and_then(|known| known.downcast().ok()) {
            return Ok(known);
        }
        let found = Arc::new(find()?);
        *fact = Some(found.clone());
        Ok(found)
    }
}

/// Locks, also after a panic: a fact is stored whole or not at all.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Wrong if threads that ask together find a fact twice, or get different ones.
    #[test]
    fn a_fact_is_found_once_however_many_ask() {
        let (facts, found) = (DataFacts::default(), AtomicUsize::new(0));
        let ask = || facts.once("sum", || Ok(found.fetch_add(1, Ordering::SeqCst) + 7)).unwrap();
        let all: Vec<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| *ask())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!((all, found.into_inner()), (vec![7; 8], 1));
    }

    /// Wrong if a name or a type took another's fact, or if a failure or a panic were kept.
    #[test]
    fn facts_have_names_and_types_and_failures_are_tried_again() {
        let facts = DataFacts::default();
        assert_eq!(facts.once::<u8>("a", || Err("gone".into())).unwrap_err(), "gone");
        let panics = || facts.once::<u8>("a", || panic!("a bug"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(*facts.once("a", || Ok(1_u8)).unwrap(), 1);
        assert_eq!(*facts.once("b", || Ok(2_u8)).unwrap(), 2);
        assert_eq!(*facts.once("a", || Ok("three")).unwrap(), "three");
        assert_eq!(*facts.once("a", || Ok(4_u8)).unwrap(), 1);
        let outer = facts.once("outer", || Ok(*facts.once("b", || Ok(5_u8))? + 1)).unwrap();
        assert_eq!(*outer, 3, "one fact may need another");
    }
}
