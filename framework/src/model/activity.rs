//! How long latents have been silent: running state that training keeps where an auxiliary asks for it.

use super::State;

/// Name of the state: for each latent, the number of training samples since it was last active. No auxiliary's
/// own state has such a name.
const SINCE_ACTIVE: &str = "auxiliary.samples_since_active";

/// Starts counting for so many latents.
pub(super) fn start(state: &mut State, latents: usize) {
    state.insert(SINCE_ACTIVE.to_owned(), vec![0.0; latents]);
}

/// Number of training samples since each latent was last active, [latents]; `None` where nobody asks.
pub fn samples_since_active(state: &State) -> Option<&[f64]> {
    state.get(SINCE_ACTIVE).map(Vec::as_slice)
}

/// Counts a step on so many samples, in which these latents were active.
pub fn count(state: &mut State, active: &[bool], samples: usize) {
    for (since, active) in state.get_mut(SINCE_ACTIVE).into_iter().flatten().zip(active) {
        *since = if *active { 0.0 } else { *since + samples as f64 };
    }
}

/// Starts counting anew for these latents.
pub fn restart(state: &mut State, latents: &[usize]) {
    if let Some(since) = state.get_mut(SINCE_ACTIVE) {
        latents.iter().for_each(|latent| since[*latent] = 0.0);
    }
}

/// The latents that were active for none of the last `dead_after` samples, ascending.
pub fn dead(state: &State, dead_after: usize) -> Vec<usize> {
    let since = samples_since_active(state).into_iter().flatten().enumerate();
    since.filter(|(_, since)| **since >= dead_after as f64).map(|(latent, _)| latent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a latent died too early, never, or stayed dead once it is active again.
    #[test]
    fn a_latent_is_dead_after_so_many_samples_without_it_until_it_is_active_again() {
        let mut state = State::new();
        count(&mut state, &[false; 3], 4);
        assert!(state.is_empty() && dead(&state, 0).is_empty(), "nobody asked");
        start(&mut state, 3);
        count(&mut state, &[true, false, false], 4);
        count(&mut state, &[false, false, true], 4);
        assert_eq!(samples_since_active(&state), Some(&[4.0, 8.0, 0.0][..]));
        assert_eq!(
            (dead(&state, 9), dead(&state, 8), dead(&state, 4)),
            (vec![], vec![1], vec![0, 1])
        );
        count(&mut state, &[false, true, false], 4);
        assert_eq!(dead(&state, 8), [0]);
        restart(&mut state, &[0]);
        assert_eq!(samples_since_active(&state), Some(&[0.0, 0.0, 4.0][..]));
    }
}
