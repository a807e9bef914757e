//! A run whose weights are steered to a target: whether it is there.

use framework::plugin::Metric;
use framework::search::Goal;

/// Reason of a run whose model has this value in place of that of its target; `None` if it is near enough. `steered`
/// are the weights that the controller ended with.
pub fn missed(goal: &Goal, value: f64, steered: &[Metric]) -> Option<String> {
    if goal.is_near(value) {
        return None;
    }
    let keys = std::iter::once(goal.key.key()).chain(goal.key.second());
    let ended = keys.zip(steered).map(|(key, metric)| {
        let weight = metric.value.map_or(String::new(), |value| format!("{value:.6}"));
        format!("{key} = {weight}")
    });
    let ended: Vec<String> = ended.collect();
    Some(format!(
        "the L0 controller did not come to {}: it ended at {}, with {}",
        goal.words(),
        goal.rounded(value),
        ended.join(" and "),
    ))
}
