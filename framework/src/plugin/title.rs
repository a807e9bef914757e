//! What columns of results are called for people.

/// Name of a column in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Few words, as the heading of a table: `MSE`.
    pub short: String,
    /// What the number is, with its unit: `mean squared error per pixel`.
    pub long: String,
}

impl Title {
    /// Makes the name of a column.
    pub fn new(short: impl Into<String>, long: impl Into<String>) -> Self {
        Self { short: short.into(), long: long.into() }
    }
}
