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
            add_errors(*square, scores, at, &mut errors);
        }
    })?;
    let numbers = (subject.data.rows(Split::Test) * subject.inputs) as f64;
    Ok(Some(errors.into_iter().map(|error| error / numbers).collect()))
}

/// Adds what is left of ‖x − mean‖² at each budget. Directions have length 1, so a kept score takes its square
/// away.
fn add_errors(square: f64, score_squares: &mut [f64], at: &[usize], errors: &mut [f64]) {
    let falling = |a: &f64, b: &f64| b.total_cmp(a);
    let most = at.last().copied().unwrap_or(0).min(score_squares.len());
    if most < score_squares.len() {
        score_squares.select_nth_unstable_by(most, falling);
    }
    let kept = &mut score_squares[..most];
    kept.sort_unstable_by(falling);
    let (mut left, mut before) = (square, 0);
    for (m, error) in at.iter().zip(errors) {
        let m = (*m).min(most);
        left -= kept[before..m].iter().sum::<f64>();
        before = m;
        *error += left.max(0.0);
    }
}
