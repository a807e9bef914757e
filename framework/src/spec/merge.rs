//! How an experiment file and what it includes become one document.

use super::axis::is_axis;
use super::entries::snake;
use super::node::{KeyValue, Node, TomlTable, Value};
use super::sweep::BLOCKS;

/// `over` on top of `base`: tables are merged key by key at every depth, and everything else is
/// replaced. So is a table that names another `kind`, since the settings of one kind mean nothing to
/// another. The axes of `[grid]` are replaced one by one, each as a whole and however its key is spelt.
pub fn merge_documents(base: Node, over: Node) -> Node {
    merge_tables(base, over, &|key, base, over| match key {
        "grid" => merge_grids(base, over),
        _ => merge(base, over),
    })
}

fn merge(base: Node, over: Node) -> Node {
    if names_another_kind(&base, &over) {
        return over;
    }
    merge_tables(base, over, &|_, base, over| merge(base, over))
}

/// Two tables as one, with what `merge` makes of two values of the same key; or else the second value.
fn merge_tables(base: Node, over: Node, merge: &dyn Fn(&str, Node, Node) -> Node) -> Node {
    match (base.value, over.value) {
        (Value::TomlTable(mut table), Value::TomlTable(over_table)) => {
            for entry in over_table.entries {
                match table.entries.iter_mut().find(|known| known.key == entry.key) {
                    Some(known) => {
                        let empty = Value::Boolean(false);
                        let below = std::mem::replace(&mut known.node.value, empty);
                        let below = Node { origin: known.node.origin.clone(), value: below };
                        let node = merge(&entry.key, below, entry.node);
                        *known = KeyValue { key: entry.key, key_origin: entry.key_origin, node };
                    }
                    None => table.entries.push(entry),
                }
            }
            Node { origin: over.origin, value: Value::TomlTable(table) }
        }
        (_, value) => Node { origin: over.origin, value },
    }
}

fn names_another_kind(base: &Node, over: &Node) -> bool {
    let kind = |node: &Node| Some(node.as_table()?.get("kind")?.node.to_toml());
    matches!((kind(base), kind(over)), (Some(base), Some(over)) if base != over)
}

fn merge_grids(base: Node, over: Node) -> Node {
    match (base.value, over.value) {
        (Value::TomlTable(base), Value::TomlTable(over_table)) => {
            let (mut entries, mut later) = (Vec::new(), Vec::new());
            flatten("", base, &mut entries);
            flatten("", over_table, &mut later);
            let is_other = |a: &str, b: &str| snake(a) != snake(b);
            entries.retain(|entry| later.iter().all(|later| is_other(&later.key, &entry.key)));
            entries.append(&mut later);
            Node { origin: over.origin, value: Value::TomlTable(TomlTable { entries }) }
        }
        (_, value) => Node { origin: over.origin, value },
    }
}

/// The axes of a table with their dotted keys in one piece, and its blocks.
fn flatten(prefix: &str, table: TomlTable, flat: &mut Vec<KeyValue>) {
    for entry in table.entries {
        let is_block = prefix.is_empty() && BLOCKS.contains(&entry.key.as_str());
        let key = if prefix.is_empty() { entry.key } else { format!("{prefix}.{}", entry.key) };
        match entry.node.value {
            Value::TomlTable(inner) if !is_block && !is_axis(&inner) => flatten(&key, inner, flat),
            value => {
                let node = Node { origin: entry.node.origin, value };
                flat.push(KeyValue { key, key_origin: entry.key_origin, node });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node::parse;

    fn merged(base: &str, over: &str) -> Node {
        let document = |name: &str, text: &str| {
            let source = Source {
                name: name.into(),
                base: Default::default(),
                text: text.into(),
                is_private: false,
            };
            parse(&Arc::new(source)).unwrap()
        };
        merge_documents(document("base", base), document("over", over))
    }

    #[test]
    fn what_is_written_later_wins_key_by_key() {
        for (base, over, both) in [
            ("a = 1\nb = 2", "b = 3\nc = 4", "{ a = 1, b = 3, c = 4 }"),
            (
                "[a]\nb = 1\n[a.c]\nd = 2\ne = 3",
                "a.c.d = 4",
                "{ a = { b = 1, c = { d = 4, e = 3 } } }",
            ),
            ("a = [1, 2]", "a = [3]", "{ a = [3] }"),
            ("[[a]]\nb = 1", "[[a]]\nc = 2", "{ a = [{ c = 2 }] }"),
            ("a = { b = 1 }", "a = 2", "{ a = 2 }"),
            ("a = 2", "a = { b = 1 }", "{ a = { b = 1 } }"),
        ] {
            assert_eq!(merged(base, over).to_toml(), both);
        }
    }

    /// Wrong if `rho` of the one penalty were a mistake in the other.
    #[test]
    fn a_section_of_another_kind_takes_the_place_of_the_first() {
        let base = "[p]\nkind = \"kl\"\nrho = 0.1\no = { kind = \"adam\", eps = 1 }";
        for (over, both) in [
            ("p.kind = \"l1\"\np.lambda = 1", "{ p = { kind = \"l1\", lambda = 1 } }"),
            (
                "p.kind = \"kl\"\np.rho = 2",
                "{ p = { kind = \"kl\", rho = 2, o = { kind = \"adam\", eps = 1 } } }",
            ),
            (
                "p.rho = 2\np.o = { kind = \"sgd\" }",
                "{ p = { kind = \"kl\", rho = 2, o = { kind = \"sgd\" } } }",
            ),
        ] {
            assert_eq!(merged(base, over).to_toml(), both);
        }
        let whole = merged("[p]\nrho = 1", "[p]\nkind = \"kl\"").to_toml();
        assert_eq!(whole, "{ p = { rho = 1, kind = \"kl\" } }", "each may say a part");
    }

    #[test]
    fn axes_are_replaced_one_by_one_however_they_are_spelt() {
        let base = "[grid]\n\"a.b\" = { log = [1, 2], points = 3 }\na.c = [1]\nd = [{ kind = \"x\" }]\n\
                    [[grid.zip]]\na.e = [1]";
        for (over, grid) in [
            (
                "grid.a.b = { range = [1, 2] }",
                "a.c = [1], d = [{ kind = \"x\" }], zip = [{ a = { e = [1] } }], a.b = { range = [1, 2] }",
            ),
            (
                "[grid]\n\"a.c\" = [2]\nzip = []",
                "a.b = { log = [1, 2], points = 3 }, d = [{ kind = \"x\" }], a.c = [2], zip = []",
            ),
            (
                "[grid]\nd.f = [7]\n\"a.b\" = [1]",
                "a.c = [1], d = [{ kind = \"x\" }], zip = [{ a = { e = [1] } }], d.f = [7], a.b = [1]",
            ),
        ] {
            assert_eq!(merged(base, over).to_toml(), format!("{{ grid = {{ {grid} }} }}"));
        }
    }

    #[test]
    fn each_value_keeps_its_place() {
        let both = merged("\n[a]\nb = 1\nc = 2", "[a]\nc = 3");
        let table = both.as_table().unwrap().get("a").unwrap().node.as_table().unwrap();
        assert_eq!(table.get("b").unwrap().node.origin.to_string(), "base:3:5");
        assert_eq!(table.get("c").unwrap().node.origin.to_string(), "over:2:5");
        assert_eq!(table.get("c").unwrap().key_origin.to_string(), "over:2:1");
    }
}
