//! Catches the panics of a library that panics at bad files, and keeps them from being printed: the
//! caller reports what is wrong with the file as an error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Returns the result of `act`; `None` if it panics. `act` must not change anything that a panic would
/// leave half done.
pub fn caught<T>(act: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                report(panic);
            }
        }));
    });
    let before = IS_QUIET.replace(true);
    let caught = catch_unwind(AssertUnwindSafe(act));
    IS_QUIET.set(before);
    caught.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_what_is_none_is_returned() {
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(caught(|| -> usize { panic!("this is not to be seen") }), None);
        assert!(!IS_QUIET.get(), "later panics are reported again");
    }
}
