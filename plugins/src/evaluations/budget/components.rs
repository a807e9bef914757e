//! The same budgets spent on principal components.

use framework::plugin::{Split, Subject};

use crate::support::principal::{PrincipalComponents, Scores, for_each_batch};

/// Returns the mean squared error per input of the test part at each budget, of the components of the training
/// part, as many as there are latents; `None` where there are no components. Found once a data set, number of
/// latents and list of budgets.
pub fn component_errors(subject: &Subject<'_>, at: &[usize]) -> Result<Option<Vec<f64>>, String> {
    let name = format!("{} components at {at:?}", subject.latents);
    let errors = subject.facts.once(&name, || find(subject, at))?;
    Ok((*errors).clone())
}

fn find(subject: &Subject<'_>, at: &[usize]) -> Result<Option<Vec<f64>>, String> {
    let components = PrincipalComponents::of(subject.data, subject.facts)?;
    let Some(components) = &*components else { return Ok(None) };
    let mut errors = vec![0.0; at.len()];
    for_each_batch(subject.data, Split::Test, |x| {
        let Scores { squares, mut scores } = components.scores(x, subject.latents);
        let count = scores.len() / squares.len();
        for (square, scores) in squares.iter().zip(scores.chunks_exact_mut(count)) {
            scores.iter_mut().for_each(|score| *score *= *score);
            // What lies along no component; of all directions together, nothing.
            let all: f64 = scores.iter().sum();
            let outside = if count == subject.inputs { 0.0 } else { (square - all).max(0.0) };
            add_errors(outside, scores, at, &mut errors);
        }
    })?;
    let numbers = (subject.data.rows(Split::Test) * subject.inputs) as f64;
    Ok(Some(errors.into_iter().map(|error| error / numbers).collect()))
}

/// Adds what is left of ‖x − mean‖² at each budget: the squares of the scores that are not kept, as directions
/// have length 1, and what lies outside of all.
fn add_errors(outside: f64, score_squares: &mut [f64], at: &[usize], errors: &mut [f64]) {
    let falling = |a: &f64, b: &f64| b.total_cmp(a);
    let most = at.last().copied().unwrap_or(0).min(score_squares.len());
    if most < score_squares.len() {
        score_squares.select_nth_unstable_by(most, falling);
    }
    let (kept, others) = score_squares.split_at_mut(most);
    kept.sort_unstable_by(falling);
    // From the end, so that no digits are lost in a difference.
    let (mut left, mut after) = (outside + others.iter().sum::<f64>(), most);
    for (m, error) in at.iter().zip(errors).rev() {
        let m = (*m).min(most);
        left += kept[m..after].iter().rev().sum::<f64>();
        after = m;
        *error += left;
    }
}
