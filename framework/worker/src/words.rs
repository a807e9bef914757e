//! Words of reasons that several files give.

/// Formats a loss with few digits.
pub fn readable(loss: f64) -> String {
    if (1e-4..1e6).contains(&loss.abs()) { format!("{loss:.6}") } else { format!("{loss:.5e}") }
}

/// Reason of a run that has diverged because its model overflows when it is measured.
pub fn not_finite(metric: &str, step: Option<usize>) -> String {
    let step = step.map_or(String::new(), |step| format!(" after step {step}"));
    format!("{metric} is no finite number{step}: what the model makes of the data is not")
}
