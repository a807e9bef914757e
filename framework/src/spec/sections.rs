//! The sections that make a run, as one table. Ids, settings, columns, axes, rules and the schema go
//! through [`SECTION_ROWS`] and [`Parts`], so that a new section is one entry here.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::axis::Place;
use super::experiment::Experiment;
use super::initial::{Initial, read_init};
use super::rule::{KnownKeys, RunFacts};
use super::run::{DatasetSection, Section};
use super::schema::{self, Definitions, SectionSchema};
use super::target::{Target, read_searched, read_target};
use super::train::Train;
use super::variants::{Variants, of_plugin, read_dataset};
use crate::diagnostics::{Diagnostic, without_repeats};
use crate::plugin::{
    self, ARCHITECTURES, Architecture, Built, CORRUPTIONS, Corruption, PENALTIES, Penalty,
};

/// A section as the table has it.
pub struct SectionRow {
    /// Name in experiment files: the column of its kind, and the prefix of the columns of its settings.
    pub name: &'static str,
    /// TOML of the section that stands for a missing one; `None` if every experiment needs it.
    pub(super) default: Option<&'static str>,
    /// Canonical form of a section that says nothing. Such a section enters neither the id nor the
    /// results. `None` if the section always enters both.
    nothing: Option<&'static str>,
    /// Makes its schema.
    pub(super) schema: fn(&mut Definitions) -> SectionSchema,
}

/// Defines the table, [`Parts`] and [`Sections`] from one list of sections.
macro_rules! sections {
    ($(
        $(#[$doc:meta])+
        $name:ident: $value:ty {
            read: $read:expr,
            beside_target: $beside_target:expr,
            default: $default:expr,
            nothing: $nothing:expr,
            schema: $schema:expr,
        }
    )+) => {
        /// Names of the sections that make a run, and so can have axes.
        pub const SECTIONS: [&str; [$(stringify!($name)),+].len()] = [$(stringify!($name)),+];

        /// The table of sections, in the order of [`SECTIONS`].
        pub static SECTION_ROWS: [SectionRow; SECTIONS.len()] = [$(
            SectionRow {
                name: stringify!($name),
                default: $default,
                nothing: $nothing,
                schema: $schema,
            },
        )+];

        /// The sections of a run.
        #[derive(Clone)]
        pub struct Parts {
            $( $(#[$doc])+ pub $name: Arc<Section<$value>>, )+
        }

        impl Parts {
            fn each(&self) -> impl Iterator<Item = SectionOf<'_>> {
                let parts = [$( (&self.$name.settings, &self.$name.canonical), )+];
                SECTION_ROWS
                    .iter()
                    .zip(parts)
                    .map(|(row, (settings, canonical))| SectionOf { row, settings, canonical })
            }
        }

        /// The sections of a run by where they stand in memory. Runs of one grid share their sections, so
        /// equal addresses are a cheap test for equal sections.
        pub type Addresses = [usize; SECTIONS.len()];

        impl Parts {
            /// Returns the addresses of the sections.
            pub fn addresses(&self) -> Addresses {
                [$( Arc::as_ptr(&self.$name).addr(), )+]
            }
        }

        /// The variants of every section.
        pub(super) struct Sections<'a> {
            $( $name: Variants<'a, $value>, )+
        }

        impl<'a> Sections<'a> {
            /// The sections of an experiment; nothing is read yet.
            pub(super) fn new(experiment: &'a Experiment) -> Self {
                Self {
                    $( $name: Variants::new(
                        experiment, stringify!($name), $read, $beside_target,
                    ), )+
                }
            }

            /// Reads what stands at a place in the grid.
            pub(super) fn at(&mut self, place: &Place) -> ChosenVariants {
                let has_target = self.has_target(place);
                [$( self.$name.at(place, has_target), )+]
            }

            /// The settings that were read.
            pub(super) fn facts(&self, chosen: ChosenVariants) -> RunFacts<'_> {
                let [$($name),+] = chosen;
                [$( self.$name.settings($name), )+]
            }

            /// The sections that stand at a place in the grid. Where one is wrong there are none, and what
            /// is wrong is kept.
            pub(super) fn parts(&mut self, place: &Place, chosen: ChosenVariants) -> Option<Parts> {
                let has_target = self.has_target(place);
                let [$($name),+] = chosen;
                $( let $name = self.$name.section(place, $name, has_target); )+
                Some(Parts { $( $name: $name?, )+ })
            }

            /// What is wrong with the sections that runs needed.
            pub(super) fn problems(&mut self) -> Vec<Diagnostic> {
                let mut problems = Vec::new();
                $( problems.append(&mut self.$name.problems); )+
                without_repeats(problems)
            }

            /// The settings of every variant.
            pub(super) fn known(&self, seeds: &[u64]) -> KnownKeys {
                let mut known = KnownKeys::default();
                known.add_seeds(seeds);
                $( self.$name.tell(&mut known); )+
                known
            }
        }
    };
}

/// A section of a run, whatever it describes.
struct SectionOf<'a> {
    row: &'static SectionRow,
    settings: &'a Map<String, Json>,
    canonical: &'a str,
}

/// Which variant of each section stands at a place in the grid.
pub(super) type ChosenVariants = [usize; SECTIONS.len()];

sections! {
    /// The data.
    dataset: DatasetSection {
        read: read_dataset,
        beside_target: None,
        default: None,
        nothing: None,
        schema: schema::dataset,
    }
    /// The model.
    architecture: Built<dyn Architecture> {
        read: |node| plugin::build("architecture", &ARCHITECTURES, node).map(of_plugin),
        beside_target: None,
        default: None,
        nothing: None,
        schema: |definitions| schema::plugins(definitions, "architecture", "The model."),
    }
    /// What makes the code sparse.
    penalty: Built<dyn Penalty> {
        read: |node| plugin::build("penalty", &PENALTIES, node).map(of_plugin),
        beside_target: Some(read_searched),
        default: Some(r#"kind = "none""#),
        nothing: None,
        schema: |definitions| schema::plugins(definitions, "penalty", "What makes the code sparse."),
    }
    /// How it is trained.
    train: Train {
        read: |node| Train::read(node).map(|(train, resolved)| Section::new(train, None, resolved)),
        beside_target: None,
        default: Some(""),
        nothing: None,
        schema: schema::train,
    }
    /// What is to be reached: then the strength of the penalty is searched for.
    target: Option<Target> {
        read: read_target,
        beside_target: None,
        default: Some(""),
        nothing: Some("{}"),
        schema: schema::target,
    }
    /// What changes the samples that are encoded in training.
    corruption: Built<dyn Corruption> {
        read: |node| plugin::build("corruption", &CORRUPTIONS, node).map(of_plugin),
        beside_target: None,
        default: Some(r#"kind = "none""#),
        nothing: Some(r#"{"kind":"none"}"#),
        schema: |definitions| {
            let about = "What changes the samples that are encoded in training.";
            schema::plugins(definitions, "corruption", about)
        },
    }
    /// What parameters start from.
    init: Initial {
        read: read_init,
        beside_target: None,
        default: Some(""),
        nothing: Some("{}"),
        schema: schema::init,
    }
}

impl Parts {
    /// Returns the sections that enter every id.
    fn always(&self) -> impl Iterator<Item = SectionOf<'_>> {
        self.each().filter(|section| section.row.nothing.is_none())
    }

    /// Returns the sections that enter an id only where they say something, and do.
    fn asked(&self) -> impl Iterator<Item = SectionOf<'_>> {
        let says = |section: &SectionOf<'_>| {
            section.row.nothing.is_some_and(|nothing| nothing != section.canonical)
        };
        self.each().filter(says)
    }

    /// Returns the name and the settings of each section that says something.
    pub fn said(&self) -> impl Iterator<Item = (&'static str, &Map<String, Json>)> {
        self.always().chain(self.asked()).map(|section| (section.row.name, section.settings))
    }

    /// Returns every setting and the seed, by section.
    pub(super) fn with_seed(&self, seed: u64) -> Json {
        let entry = |section: SectionOf<'_>| (section.row.name.into(), json!(section.settings));
        let seed = ("seed".into(), json!(seed));
        Json::Object(
            self.always().map(entry).chain([seed]).chain(self.asked().map(entry)).collect(),
        )
    }

    /// Returns the text that the id of a run with these sections and this seed is made of.
    pub(super) fn canonical(&self, seed: u64) -> String {
        let line = |section: SectionOf<'_>| format!("{} {}\n", section.row.name, section.canonical);
        let always: String = self.always().map(line).collect();
        // Sections came later than the seed if they need not say something: older ids stay.
        let asked: String = self.asked().map(line).collect();
        format!("saegrid run 1\n{always}seed {seed}\n{asked}")
    }
}

impl Sections<'_> {
    /// Whether the runs at a place in the grid have a target.
    fn has_target(&mut self, place: &Place) -> bool {
        let target = self.target.at(place, false);
        self.target.right(target).is_none_or(|section| section.value.is_some())
    }
}
