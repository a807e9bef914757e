//! What a metric declares beside its name: which of its values are good, and which settings change what
//! it means. It is stored with the results.

use serde_json::{Value as Json, json};

use super::Best;

/// Which settings change the meaning of a metric. Runs that differ in one of these are never compared by
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Within {
    /// The test samples and their units, as of an error; not `normalize`, since errors are in the units
    /// of the data.
    Data,
    /// The same and the labels, as of an accuracy.
    Labels,
    /// Everything about the data, and the objective, as of a number that is taken on the training part as the
    /// model sees it.
    Training,
    /// The same, the penalty and the auxiliaries: the loss that is trained.
    Loss,
    /// Everything about the data and the machine: times and memory.
    Machine,
}

const WORDS: [(Within, &str); 5] = [
    (Within::Data, "data"),
    (Within::Labels, "labels"),
    (Within::Training, "training"),
    (Within::Loss, "loss"),
    (Within::Machine, "machine"),
];

/// What is known of a metric beside its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Which of its values are good; `None`: that cannot be said.
    pub best: Option<Best>,
    /// Which settings change its meaning.
    pub within: Within,
    /// The settings of its evaluation that differ from their defaults, as JSON; empty if there are none.
    pub how: String,
    /// Its place on a curve, if it is one of several that are taken with more and more latents.
    pub at: Option<AtBudget>,
}

/// Place of a metric on a curve over budgets: it was taken with so many latents of each sample, the same number
/// for every model. Such metrics compare codes that no count of active latents compares.
#[derive(Clone, Debug, PartialEq)]
pub struct AtBudget {
    /// Name of the curve, the same for all its metrics: `test_mse_at_M`.
    pub curve: String,
    /// Number of latents of each sample.
    pub latents: usize,
    /// The same number of a method that everybody knows, if it was taken.
    pub baseline: Option<BaselineColumn>,
}

/// Column with what another method does on the same data with the same budget.
#[derive(Clone, Debug, PartialEq)]
pub struct BaselineColumn {
    /// Name of the method: `PCA`.
    pub method: String,
    /// The column.
    pub column: String,
}

impl AtBudget {
    fn to_json(&self) -> Json {
        let baseline = self.baseline.as_ref().map(|one| json!([one.method, one.column]));
        json!({ "curve": self.curve, "latents": self.latents, "baseline": baseline })
    }

    fn from_json(kept: &Json) -> Option<Self> {
        let text = |kept: &Json| kept.as_str().map(str::to_owned);
        let baseline = &kept["baseline"];
        let baseline = text(&baseline[0]).zip(text(&baseline[1]));
        Some(Self {
            curve: text(&kept["curve"])?,
            latents: kept["latents"].as_u64()?.try_into().ok()?,
            baseline: baseline.map(|(method, column)| BaselineColumn { method, column }),
        })
    }
}

impl Declared {
    /// What is known of a metric that no settings of its evaluation change, and that is on no curve.
    pub fn new(best: Option<Best>, within: Within) -> Self {
        Self { best, within, how: String::new(), at: None }
    }

    /// As the results keep it: `["lowest", "data"]`, with a number for a best value, null where none is
    /// known, behind them the settings of the evaluation that differ from their defaults, and last the place
    /// on a curve.
    pub fn to_json(&self) -> Json {
        let best = match self.best {
            None => Json::Null,
            Some(Best::Lowest) => json!("lowest"),
            Some(Best::Highest) => json!("highest"),
            Some(Best::Value(value)) => json!(value),
        };
        let word = WORDS.iter().find(|(within, _)| *within == self.within);
        let word = word.map(|(_, word)| word);
        match (self.how.is_empty(), &self.at) {
            (true, None) => json!([best, word]),
            (false, None) => json!([best, word, self.how]),
            (_, Some(at)) => json!([best, word, self.how, at.to_json()]),
        }
    }

    /// From what the results keep. What is not understood, as of a newer program, is not known: no value
    /// is good, and the data has to be the same in every respect.
    pub fn from_json(kept: &Json) -> Self {
        let best = match &kept[0] {
            Json::String(word) if word == "lowest" => Some(Best::Lowest),
            Json::String(word) if word == "highest" => Some(Best::Highest),
            Json::Number(value) => value.as_f64().map(Best::Value),
            _ => None,
        };
        let word = WORDS.iter().find(|(_, word)| kept[1].as_str() == Some(word));
        let within = word.map_or(Within::Training, |(within, _)| *within);
        let how = kept[2].as_str().unwrap_or_default().to_owned();
        Self { best, within, how, at: AtBudget::from_json(&kept[3]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if what a metric declares were another thing once it has been stored.
    #[test]
    fn what_is_declared_is_what_is_read_again() {
        let baseline = BaselineColumn { method: "PCA".to_owned(), column: "pca_at_5".to_owned() };
        let alone = AtBudget { curve: "at_M".to_owned(), latents: 5, baseline: None };
        let beside = AtBudget { baseline: Some(baseline), ..alone.clone() };
        for best in [None, Some(Best::Lowest), Some(Best::Highest), Some(Best::Value(1.0))] {
            for (within, _) in WORDS {
                for how in [String::new(), "{\"c\":0.5}".to_owned()] {
                    for at in [None, Some(alone.clone()), Some(beside.clone())] {
                        let declared = Declared { best, within, how: how.clone(), at };
                        let text = declared.to_json().to_string();
                        let read = Declared::from_json(&serde_json::from_str(&text).unwrap());
                        assert_eq!(read, declared, "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_not_known() {
        let unknown = Declared::new(None, Within::Training);
        for kept in [
            json!(null),
            json!(["most", "phase of the moon"]),
            json!({ "best": "lowest" }),
            json!([null, "training", "", { "curve": "at_M", "latents": -1 }]),
            json!([null, "training", "", 7]),
        ] {
            assert_eq!(Declared::from_json(&kept), unknown, "{kept}");
        }
    }
}
