//! `schema`: what an experiment file may say, for editors.

use framework::spec::experiment_schema;

use super::print;
use crate::exit::{Exit, Failure};

pub fn schema() -> Result<Exit, Failure> {
    print(&format!("{:#}\n", experiment_schema()))?;
    Ok(Exit::Done)
}
