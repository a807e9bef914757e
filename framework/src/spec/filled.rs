//! The activation that a penalty is for, in an architecture that says none.

use super::node::{Node, Value};
use crate::plugin::{ARCHITECTURES, Activation, find};

/// Returns the section `[architecture]` with this activation; `None` if it says one, or has no such setting.
pub(super) fn with_activation(node: &Node, activation: Activation) -> Option<Node> {
    let table = node.as_table()?;
    let kind = table.get("kind")?;
    let schema = (find(&ARCHITECTURES, kind.node.as_str()?)?.schema)();
    schema["properties"].get("activation")?;
    if table.get("activation").is_some() {
        return None;
    }
    let name = serde_json::to_value(activation).ok()?;
    let origin = kind.node.origin.clone();
    let value = Node { origin, value: Value::String(name.as_str()?.to_owned()) };
    let mut filled = node.clone();
    filled.set_path(&["activation"], &kind.key_origin, value).ok()?;
    Some(filled)
}
