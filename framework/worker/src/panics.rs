//! Messages of panics: a run that panics stores the message and has it in its log.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Message and place of the last panic of this process, in any thread.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

fn last_panic() -> MutexGuard<'static, Option<String>> {
    LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the message of each panic from now on, and passes it and its backtrace to `say`.
pub fn keep(say: fn(&str)) {
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| payload.downcast_ref().copied()).unwrap_or("no message");
        let place =
            info.location().map_or(String::new(), |at| format!(" ({}:{})", at.file(), at.line()));
        let text = format!("{message}{place}");
        say(&format!("panicked: {text}"));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            say(&trace.to_string());
        }
        *last_panic() = Some(text);
    }));
}

/// Runs `f`; turns a panic in it into an error with the message of the panic.
pub fn catch_panic<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|_| last_panic().take().unwrap_or_else(|| "no message".to_owned()))
}
