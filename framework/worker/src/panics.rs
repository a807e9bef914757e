//! What panics say: it is stored with the run, and stands in its log.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last panic of this process, in whichever thread: what it said and where.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

fn last_panic() -> MutexGuard<'static, Option<String>> {
    LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the message of each panic from now on, and hands it and its backtrace to `say`.
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

/// Runs `f`; a panic in it is an error that says what the panic said.
pub fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|_| last_panic().take().unwrap_or_else(|| "no message".to_owned()))
}
