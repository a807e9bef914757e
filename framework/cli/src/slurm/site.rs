//! Limits of a site, from `scontrol show config`.

use super::client::{Client, Trouble};

/// Limits of a site on the number of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteLimits {
    /// Maximum number of tasks in an array.
    pub array: Option<usize>,
    /// Maximum number of jobs in all; each task counts as one.
    pub jobs: Option<usize>,
}

impl SiteLimits {
    /// Asks for the limits of this site.
    ///
    /// # Errors
    /// If Slurm gives no answer.
    pub fn of_site() -> Result<Self, Trouble> {
        Ok(Self::read(&Client::Show.call(["show", "config"])?))
    }

    /// Reads the limits from the output of `scontrol`.
    fn read(config: &str) -> Self {
        let value = |name: &str| {
            let of = |line: &str| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == name).then(|| value.trim().parse().ok()).flatten()
            };
            config.lines().find_map(of).filter(|limit: &usize| *limit > 0)
        };
        // `MaxArraySize` is the largest index plus 1, and indices start at 0: so it is the number of tasks.
        Self { array: value("MaxArraySize"), jobs: value("MaxJobCount") }
    }

    /// Returns how many of the wanted workers the site takes, and the limit that excludes the others, in
    /// words.
    pub fn cut(self, wanted: usize) -> (usize, Option<String>) {
        // Slurm refuses the job that would bring the number of jobs up to `MaxJobCount`.
        let jobs = self.jobs.map(|jobs| ((jobs - 1).max(1), "MaxJobCount", jobs));
        let array = self.array.map(|array| (array, "MaxArraySize", array));
        match array.into_iter().chain(jobs).min().filter(|(most, ..)| *most < wanted) {
            Some((most, name, limit)) => (most, Some(format!("{name} of this site is {limit}"))),
            None => (wanted, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts_and_none_that_is_not_said() {
        let config = "Configuration data as of x\nMaxArraySize            = 11\nMaxJobCount = 20\nMaxJobId = 3\n";
        let limits = SiteLimits::read(config);
        assert_eq!(limits, SiteLimits { array: Some(11), jobs: Some(20) });
        let met = |limit: &str| Some(limit.to_owned());
        assert_eq!(limits.cut(50), (11, met("MaxArraySize of this site is 11")));
        assert_eq!(limits.cut(11), (11, None));
        let fewer = SiteLimits { jobs: Some(5), ..limits };
        assert_eq!(fewer.cut(50), (4, met("MaxJobCount of this site is 5")));
        assert_eq!(SiteLimits::read("MaxArraySize = x\n").cut(50), (50, None));
    }
}
