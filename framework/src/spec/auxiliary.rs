//! The list `auxiliary`: further terms of the loss, and interventions, beside the one penalty.

use std::sync::LazyLock;

use super::entries::entry_names;
use super::node::{Node, Value};
use super::run::Section;
use super::train::Parsed;
use crate::diagnostics::{Diagnostic, ENOUGH};
use crate::plugin::{
    AUXILIARIES, Auxiliary, Built, NamedAuxiliary, PENALTIES, Penalty, SoftPenalty, build_as, find,
    named_kind, rows_of_auxiliaries,
};

/// What may stand in the list, by name. It is asked for by every list of a grid, and found once.
static NAMES: LazyLock<Vec<&str>> =
    LazyLock::new(|| rows_of_auxiliaries().iter().map(|row| row.name).collect());

/// Reads the list; one without entries says nothing.
pub(super) fn read_auxiliary(node: &Node) -> Parsed<Section<Vec<NamedAuxiliary>>> {
    let Value::Array(items) = &node.value else {
        let message = format!("`auxiliary` is a list, got {}", node.type_name());
        let help = match node.as_table() {
            Some(table) if table.get("kind").is_some() => {
                format!("as in auxiliary = [{}], or below [[auxiliary]]", node.to_toml())
            }
            _ => "as in auxiliary = [{ kind = \"…\" }]".to_owned(),
        };
        return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
    };
    let (mut auxiliaries, mut problems) = (Vec::new(), Vec::new());
    for (item, name) in items.iter().zip(entry_names(items)) {
        if problems.len() >= ENOUGH {
            break;
        }
        let name = name.unwrap_or_default();
        match read_entry(&name, item) {
            Ok(built) => auxiliaries.push(NamedAuxiliary { name, built }),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let entry = |NamedAuxiliary { name, built }: &NamedAuxiliary| {
        (name.clone(), built.kind, built.settings.take_resolved())
    };
    let entries: Vec<_> = auxiliaries.iter().map(entry).collect();
    Ok(Section::of_list(auxiliaries, entries))
}

/// Reads an entry: a registered auxiliary, or a penalty that only adds terms to the loss.
fn read_entry(name: &str, node: &Node) -> Parsed<Built<dyn Auxiliary>> {
    let mut names = NAMES.clone();
    let Some(table) = node.as_table() else {
        let message = format!("an entry of `auxiliary` is a table, got {}", node.type_name());
        let help = match node.as_str().filter(|text| names.contains(text)) {
            Some(kind) => format!("as in auxiliary = [{{ kind = \"{kind}\" }}]"),
            None => "as in auxiliary = [{ kind = \"…\" }]".to_owned(),
        };
        return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
    };
    let title = format!("auxiliary.{name}");
    let refused = table.get("kind").and_then(|kind| refused(kind.node.as_str()?, &names));
    // Refused below, with the reason.
    names.extend(refused);
    let (kind, settings) = named_kind("auxiliary", &names, node)?;
    if let Some(row) = find(&AUXILIARIES, &kind) {
        return build_as(title, row, settings, &["kind"]);
    }
    let Some(row) = find(&PENALTIES, &kind) else {
        unreachable!("auxiliaries are registered as such or as penalties")
    };
    let origin = settings.origin.clone();
    let built = build_as(title, row, settings, &["kind"]);
    let is_soft = match &built {
        Ok(built) => built.plugin.is_soft(),
        Err(_) => refused.is_none(),
    };
    if !is_soft {
        let message = format!(
            "`{kind}` cannot stand in `auxiliary`: it is no penalty that only adds terms to the loss"
        );
        let rest: Vec<&str> = names.into_iter().filter(|name| *name != kind).collect();
        let help = format!("it stands in [penalty]; here stand: {}", rest.join(", "));
        return Err(vec![Diagnostic::at(&origin, message).help(help)]);
    }
    built.map(SoftPenalty::built)
}

/// The penalty of this name, if it is none of the `names`.
fn refused(kind: &str, names: &[&str]) -> Option<&'static str> {
    let row = find::<dyn Penalty>(&PENALTIES, kind)?;
    (!names.contains(&row.name)).then_some(row.name)
}
