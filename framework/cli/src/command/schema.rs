//! `schema`: prints the JSON Schema of experiment files, for editors.

use framework::spec::experiment_schema;
use store::exit::{Exit, Failure};

use super::print;

pub fn schema() -> Result<Exit, Failure> {
    print(&format!("{:#}\n", experiment_schema()))?;
    Ok(Exit::Done)
}
