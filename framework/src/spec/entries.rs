//! Sections that are lists: each entry has a name, by which axes, rules and overrides reach its settings.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::node::{Node, Value};
use super::sections::is_list;
use crate::diagnostics::{Diagnostic, Origin, did_you_mean};

/// The name of each entry of a list: its kind in snake case, or, where an earlier entry has that name, the same
/// with `_2`, `_3` … at its end. An entry that names no kind has no name.
pub fn entry_names(items: &[Node]) -> Vec<Option<String>> {
    let mut taken: HashSet<String> = HashSet::new();
    // Where to look for the next free number of a kind: a list may be long.
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut name = |item: &Node| {
        let kind = snake(item.as_table()?.get("kind")?.node.as_str()?).into_owned();
        let number = numbers.entry(kind.clone()).or_insert(0);
        loop {
            *number += 1;
            let name = if *number == 1 { kind.clone() } else { format!("{kind}_{number}") };
            if taken.insert(name.clone()) {
                return Some(name);
            }
        }
    };
    items.iter().map(&mut name).collect()
}

/// A name as settings are spelt: `weight_decay` of `weight-decay`.
pub fn snake(name: &str) -> Cow<'_, str> {
    if name.contains('-') { name.replace('-', "_").into() } else { name.into() }
}

/// Makes the parts of a dotted key those that names are looked up by: the name of an entry of a list may be
/// written in kebab case.
pub fn tidy_path(path: &mut [String]) {
    if let [section, entry, ..] = path
        && is_list(section)
    {
        *entry = snake(entry).into_owned();
    }
}

impl Node {
    /// Puts `node` at a dotted path below this list, the section of that name. The first part of the path is
    /// one of the `names` of its entries.
    ///
    /// # Errors
    /// If there is no such entry, or a part of the path is there and is not a table.
    pub fn set_in_entry(
        &mut self,
        section: &str,
        names: &[Option<String>],
        path: &[&str],
        key_origin: &Origin,
        node: Self,
    ) -> Result<(), Diagnostic> {
        let Some((first, rest)) = path.split_first() else { return Ok(()) };
        let entry = snake(first);
        let at = names.iter().position(|name| name.as_deref() == Some(&*entry));
        let Value::Array(items) = &mut self.value else {
            return self.set_path(path, key_origin, node);
        };
        match at.and_then(|at| items.get_mut(at)) {
            Some(item) if rest.is_empty() => *item = node,
            Some(item) => item.set_path(rest, key_origin, node)?,
            None => return Err(no_entry(section, Some(self), first, key_origin)),
        }
        Ok(())
    }
}

/// What is wrong with an address that names no entry of a list; `None` is a list that is not written.
pub fn no_entry(
    section: &str,
    list: Option<&Node>,
    wrong: &str,
    key_origin: &Origin,
) -> Diagnostic {
    let items = match list.map(|list| &list.value) {
        Some(Value::Array(items)) => items.as_slice(),
        _ => &[],
    };
    let problem = Diagnostic::at(key_origin, format!("`{section}` has no entry `{wrong}`"));
    let Some(list) = list.filter(|_| !items.is_empty()) else {
        return problem.help("the list is empty");
    };
    let names = entry_names(items);
    let has = |item: &Node| item.as_table().is_some_and(|table| table.get(wrong).is_some());
    let held =
        items.iter().zip(&names).find_map(|(item, name)| name.as_ref().filter(|_| has(item)));
    let known: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
    let help = match held {
        Some(name) => format!("did you mean `{section}.{name}.{wrong}`?"),
        None => did_you_mean(wrong, &known),
    };
    problem.help(help).related(&list.origin, "the list")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node::parse;

    fn list(items: &str) -> Node {
        let text = format!("auxiliary = [{items}]");
        let source =
            Source { name: "t.toml".into(), base: Default::default(), text, is_private: false };
        let document = parse(&Arc::new(source)).unwrap();
        document.as_table().unwrap().get("auxiliary").unwrap().node.clone()
    }

    fn names(items: &str) -> Vec<Option<String>> {
        let Value::Array(items) = list(items).value else { unreachable!() };
        entry_names(&items)
    }

    /// Wrong if two entries shared a name, or if an entry's name depended on what follows it.
    #[test]
    fn names_are_unique_by_place() {
        let kinds = ["l1", "weight-decay", "l1", "l1-2", "l1", "kl"];
        let named = ["l1", "weight_decay", "l1_2", "l1_2_2", "l1_3", "kl"];
        for count in 0..=kinds.len() {
            let items = kinds[..count].iter().map(|kind| format!("{{ kind = \"{kind}\" }}, "));
            let expected: Vec<_> = named[..count].iter().map(|name| Some((*name).into())).collect();
            assert_eq!(names(&items.collect::<String>()), expected);
        }
        assert_eq!(names("{ lambda = 1 }, 3, { kind = 2 }"), [None, None, None]);
    }

    /// Wrong if an address reached another entry than the one it names.
    #[test]
    fn a_setting_is_put_into_the_entry_of_its_name() {
        let written =
            "{ kind = \"l1\", lambda = 1 }, { kind = \"weight-decay\" }, { kind = \"l1\" }";
        let set = |path: &[&str]| {
            let mut list = list(written);
            let (origin, names) = (list.origin.clone(), names(written));
            let value = Node { origin: origin.clone(), value: Value::Integer(7) };
            list.set_in_entry("auxiliary", &names, path, &origin, value)?;
            Ok::<String, Diagnostic>(list.to_toml())
        };
        let first = written.replace("lambda = 1", "lambda = 7");
        assert_eq!(set(&["l1", "lambda"]).unwrap(), format!("[{first}]"));
        let last = written.replace("{ kind = \"l1\" }", "{ kind = \"l1\", lambda = 7 }");
        for name in ["l1_2", "l1-2"] {
            assert_eq!(set(&[name, "lambda"]).unwrap(), format!("[{last}]"));
        }
        let decay = written.replace("\"weight-decay\"", "\"weight-decay\", of = 7");
        assert_eq!(set(&["weight-decay", "of"]).unwrap(), format!("[{decay}]"));
        for (path, help) in [
            (["l1_4", "lambda"], "did you mean `l1_2`?"),
            (["decay", "of"], "known: l1, weight_decay, l1_2"),
            (["lambda", "x"], "did you mean `auxiliary.l1.lambda`?"),
        ] {
            let problem = set(&path).unwrap_err();
            assert_eq!(problem.message, format!("`auxiliary` has no entry `{}`", path[0]));
            assert_eq!(problem.help, [help]);
        }
    }
}
