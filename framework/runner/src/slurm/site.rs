//! What a site takes, as `scontrol show config` says it.

use super::client::{Client, Trouble};

/// The limits of a site on the number of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many tasks an array may have.
    pub array: Option<usize>,
    /// How many jobs there may be at all; each task counts.
    pub jobs: Option<usize>,
}

impl Limits {
    /// Asks for them.
    ///
    /// # Errors
    /// If the site does not say.
    pub fn of_site() -> Result<Self, Trouble> {
        Ok(Self::read(&Client::Show.call(["show", "config"])?))
    }

    fn read(config: &str) -> Self {
        let value = |name: &str| {
            let of = |line: &str| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == name).then(|| value.trim().parse().ok()).flatten()
            };
            config.lines().find_map(of).filter(|limit: &usize| *limit > 0)
        };
        // The largest index is one less, and the first one is 0.
        Self { array: value("MaxArraySize"), jobs: value("MaxJobCount") }
    }

    /// As many workers as the site takes of those wanted, and which limit the others met.
    pub fn cut(self, wanted: usize) -> (usize, Option<&'static str>) {
        let limits = [(self.array, "MaxArraySize"), (self.jobs, "MaxJobCount")];
        let limits = limits.into_iter().filter_map(|(limit, name)| Some((limit?, name)));
        match limits.min().filter(|(limit, _)| *limit < wanted) {
            Some((limit, name)) => (limit, Some(name)),
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
        let limits = Limits::read(config);
        assert_eq!(limits, Limits { array: Some(11), jobs: Some(20) });
        assert_eq!(limits.cut(50), (11, Some("MaxArraySize")));
        assert_eq!(limits.cut(11), (11, None));
        assert_eq!(Limits { jobs: Some(5), ..limits }.cut(50), (5, Some("MaxJobCount")));
        assert_eq!(Limits::read("MaxArraySize = x\n").cut(50), (50, None));
    }
}
