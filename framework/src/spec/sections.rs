//! The sections that make a run, as one table. Ids, settings, columns, axes, rules and the schema go
//! through [`SECTION_ROWS`] and [`Parts`], so that a new section is one entry here.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value as Json};

use super::auxiliary::read_auxiliary;
use super::axis::Place;
use super::experiment::Experiment;
use super::initial::{Initial, read_init};
use super::rule::{KnownKeys, RunFacts};
use super::run::{DatasetSection, Section};
use super::schema::{self, Definitions, SectionSchema};
use super::target::{Target, read_searched, read_target};
use super::train::Train;
use super::variants::{Beside, Variants, of_plugin, read_dataset};
use crate::diagnostics::{Diagnostic, without_repeats};
use crate::plugin::{
    self, ARCHITECTURES, Architecture, Built, CORRUPTIONS, Corruption, NamedAuxiliary, PENALTIES,
    Penalty,
};

/// A section as the table has it.
pub struct SectionRow {
    /// Name in experiment files: the column of its kind, and the prefix of the columns of its settings.
    pub name: &'static str,
    /// Whether it is a list of plugins, each under a name that settings of it are addressed by, and not a
    /// table of settings.
    pub is_list: bool,
    /// TOML of the section that stands for a missing one, of a list with its brackets; `None` if every
    /// experiment needs it.
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
            is_list: $is_list:expr,
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
                is_list: $is_list,
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
                let beside = self.beside(place);
                [$( self.$name.at(place, beside), )+]
            }

            /// The settings that were read.
            pub(super) fn facts(&self, chosen: ChosenVariants) -> RunFacts<'_> {
                let [$($name),+] = chosen;
                [$( self.$name.settings($name), )+]
            }

            /// The sections that stand at a place in the grid. Where one is wrong there are none, and what
            /// is wrong is kept.
            pub(super) fn parts(&mut self, place: &Place, chosen: ChosenVariants) -> Option<Parts> {
                let beside = self.beside(place);
                let [$($name),+] = chosen;
                $( let $name = self.$name.section(place, $name, beside); )+
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

impl<'a> SectionOf<'a> {
    fn kind(&self) -> Option<String> {
        let kind = |settings: &Json| settings["kind"].as_str().map(str::to_owned);
        if self.row.is_list {
            let kinds: Vec<String> = self.settings.values().filter_map(kind).collect();
            return Some(kinds.join(" + "));
        }
        self.settings.get("kind")?.as_str().map(str::to_owned)
    }

    fn columns(self) -> Vec<(String, &'a Json)> {
        let name = self.row.name;
        if !self.row.is_list {
            return of_table(name, self.settings);
        }
        let entries = self.settings.iter();
        let tables = entries.filter_map(|(entry, settings)| Some((entry, settings.as_object()?)));
        tables
            .flat_map(|(entry, settings)| of_table(&format!("{name}_{entry}"), settings))
            .collect()
    }
}

/// Returns the settings of a table but its kind, each with the name of its column.
fn of_table<'a>(prefix: &str, settings: &'a Map<String, Json>) -> Vec<(String, &'a Json)> {
    let settings = settings.iter().filter(|(key, _)| *key != "kind");
    settings.map(|(key, value)| (format!("{prefix}_{key}"), value)).collect()
}

/// Settings of a section as results keep them: those of a list without the names, which follow from its order.
impl Serialize for SectionOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.row.is_list {
            true => serializer.collect_seq(self.settings.values()),
            false => self.settings.serialize(serializer),
        }
    }
}

/// Every setting of a run and its seed, by section.
pub struct AllSettings<'a> {
    parts: &'a Parts,
    seed: u64,
}

impl Serialize for AllSettings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for section in self.parts.always() {
            map.serialize_entry(section.row.name, &section)?;
        }
        map.serialize_entry("seed", &self.seed)?;
        for section in self.parts.asked() {
            map.serialize_entry(section.row.name, &section)?;
        }
        map.end()
    }
}

/// Whether a section is a list of plugins.
pub fn is_list(section: &str) -> bool {
    SECTION_ROWS.iter().any(|row| row.is_list && row.name == section)
}

/// Which variant of each section stands at a place in the grid.
pub(super) type ChosenVariants = [usize; SECTIONS.len()];

sections! {
    /// The data.
    dataset: DatasetSection {
        is_list: false,
        read: read_dataset,
        beside_target: None,
        default: None,
        nothing: None,
        schema: schema::dataset,
    }
    /// The model.
    architecture: Built<dyn Architecture> {
        is_list: false,
        read: |node| plugin::build("architecture", &ARCHITECTURES, node).map(of_plugin),
        beside_target: None,
        default: None,
        nothing: None,
        schema: |definitions| schema::plugins(definitions, "architecture", "The model."),
    }
    /// What makes the code sparse.
    penalty: Built<dyn Penalty> {
        is_list: false,
        read: |node| plugin::build("penalty", &PENALTIES, node).map(of_plugin),
        beside_target: Some(read_searched),
        default: Some(r#"kind = "none""#),
        nothing: None,
        schema: |definitions| schema::plugins(definitions, "penalty", "What makes the code sparse."),
    }
    /// How it is trained.
    train: Train {
        is_list: false,
        read: |node| Train::read(node).map(|(train, resolved)| Section::new(train, None, resolved)),
        beside_target: None,
        default: Some(""),
        nothing: None,
        schema: schema::train,
    }
    /// What is to be reached: then the strength of the penalty is searched for.
    target: Option<Target> {
        is_list: false,
        read: read_target,
        beside_target: None,
        default: Some(""),
        nothing: Some("{}"),
        schema: schema::target,
    }
    /// What changes the samples that are encoded in training.
    corruption: Built<dyn Corruption> {
        is_list: false,
        read: |node| plugin::build("corruption", &CORRUPTIONS, node).map(of_plugin),
        beside_target: None,
        default: Some(r#"kind = "none""#),
        nothing: Some(r#"{"kind":"none"}"#),
        schema: |definitions| {
            let about = "What changes the samples that are encoded in training.";
            schema::plugins(definitions, "corruption", about)
        },
    }
    /// What trains beside the penalty.
    auxiliary: Vec<NamedAuxiliary> {
        is_list: true,
        read: read_auxiliary,
        beside_target: None,
        default: Some("[]"),
        nothing: Some("[]"),
        schema: schema::auxiliary,
    }
    /// What parameters start from.
    init: Initial {
        is_list: false,
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

    /// Returns the sections that say something.
    fn said(&self) -> impl Iterator<Item = SectionOf<'_>> {
        self.always().chain(self.asked())
    }

    /// Returns the name and the kind of each section that says something and has a kind; of a list, the
    /// kinds of its entries.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.said().filter_map(|section| Some((section.row.name, section.kind()?)))
    }

    /// Returns every setting, but for kinds, of the sections that say something, each with the name of its
    /// column. Settings may be tables.
    pub fn columns(&self) -> impl Iterator<Item = (String, &Json)> {
        self.said().flat_map(SectionOf::columns)
    }

    /// Returns every setting and the seed, by section.
    pub(super) fn with_seed(&self, seed: u64) -> AllSettings<'_> {
        AllSettings { parts: self, seed }
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
    /// What the sections at a place in the grid say about how others are read: whether there is a target, and which
    /// activation the penalty is for.
    fn beside(&mut self, place: &Place) -> Beside {
        let target = self.target.at(place, Beside::default());
        let target = self.target.right(target);
        let has_target = target.is_none_or(|section| section.value.is_some());
        let beside = Beside { has_target, activation: None };
        let penalty = self.penalty.at(place, beside);
        let penalty = self.penalty.right(penalty);
        let activation = penalty.and_then(|section| section.value.plugin.activation());
        Beside { activation, ..beside }
    }
}
