// SPDX-License-Identifier: Apache-2.0

//! Who owns what of a list, which people decide.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::{
    collect::ROOT,
    descriptions::read_types,
    model::{Field, Kind, Model, innermost},
};

/// What of a list has an owner.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// An entry is the one with these fields, and each of its fields has an owner.
    Fields(Vec<String>),
    /// An entry is all of its fields.
    Entry,
    Value,
    List,
}

/// The decision on one list.
#[derive(Clone, Debug, PartialEq)]
pub struct Ownership {
    pub by: By,
    pub why: String,
}

/// All decisions, by `Type.field` as the crate and YAML have it.
pub struct Ownerships(BTreeMap<String, Ownership>);

impl Ownerships {
    /// read reads a YAML of types, of fields, of {by: …, why: …}.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for (name, fields) in read_types(text)? {
            for (field, value) in fields {
                let ownership = one(&value)
                    .ok_or_else(|| format!("{name}.{field}: must be {{by: …, why: …}}"))?;
                all.insert(format!("{name}.{field}"), ownership);
            }
        }
        Ok(Self(all))
    }

    /// of returns the decision on a field that is a list. Of a list that is only shown there is none.
    pub fn of(&self, field: &Field) -> Option<&Ownership> {
        field.origins.iter().find_map(|origin| self.0.get(origin))
    }

    /// keys returns the fields by which entries are told apart, by all of their names, or none.
    pub fn keys(&self, model: &Model, field: &Field) -> Vec<String> {
        match self.of(field).map(|ownership| &ownership.by) {
            Some(By::Fields(keys)) => keys.clone(),
            Some(By::Entry) => entry(model, &field.kind).map_or(Vec::new(), |fields| {
                let names = fields.iter().filter(|f| !f.read_only);
                let names = names.flat_map(|f| f.aliases.iter().chain([&f.name]));
                names
                    .cloned()
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect()
            }),
            _ => Vec::new(),
        }
    }

    /// check returns what is wrong: lists without a decision, decisions without a list, and those that do not fit.
    pub fn check(&self, model: &Model) -> Vec<String> {
        let lists = written_lists(model);
        let mut wrong = Vec::new();
        let mut decided = BTreeSet::new();
        for (place, field) in &lists {
            let decisions: Vec<_> = field.origins.iter().map(|o| self.0.get(o)).collect();
            decided.extend(field.origins.iter());
            match decisions[0] {
                _ if decisions.contains(&None) => wrong.push(format!(
                    "the list {place} has no decision on who owns what of it"
                )),
                Some(first)
                    if decisions
                        .iter()
                        .any(|d| d.map(|d| &d.by) != Some(&first.by)) =>
                {
                    wrong.push(format!("{place} has more than one decision"));
                }
                Some(first) if !fits(model, field, &first.by) => {
                    wrong.push(format!("{place}: its entries have no {:?}", first.by));
                }
                _ => {}
            }
        }
        let useless = self.0.keys().filter(|name| !decided.contains(name));
        wrong.extend(useless.map(|name| format!("{name} is no list that can be written")));
        wrong
    }
}

/// fits tells whether entries of a list can be told apart so.
fn fits(model: &Model, field: &Field, by: &By) -> bool {
    let fields = entry(model, &field.kind);
    match by {
        By::Fields(keys) => fields.is_some_and(|fields| {
            let has = |key: &String| {
                fields
                    .iter()
                    .any(|f| f.name == *key && f.aliases.is_empty())
            };
            keys.iter().all(has)
        }),
        By::Entry => fields.is_some(),
        By::Value => fields.is_none(),
        By::List => true,
    }
}

/// entry returns the fields of a list's entries, if they are objects.
fn entry<'a>(model: &'a Model, kind: &Kind) -> Option<&'a Vec<Field>> {
    match kind {
        Kind::List(item) => match item.as_ref() {
            Kind::Object(name) => model.objects.get(name).map(|object| &object.fields),
            _ => None,
        },
        _ => None,
    }
}

/// written_lists returns all lists that a desired state can have, by where they are.
fn written_lists(model: &Model) -> BTreeMap<String, Field> {
    let mut lists = BTreeMap::new();
    let mut queue = vec![ROOT.to_string()];
    let mut seen = BTreeSet::new();
    while let Some(name) = queue.pop() {
        let Some(object) = model.objects.get(&name) else {
            continue;
        };
        if !seen.insert(name.clone()) {
            continue;
        }
        for field in object.fields.iter().filter(|f| !f.read_only) {
            if matches!(field.kind, Kind::List(_)) {
                lists.insert(format!("{name}.{}", field.name), field.clone());
            }
            if let Kind::Object(next) | Kind::ObjectOrBool(next) = innermost(&field.kind) {
                queue.push(next.clone());
            }
        }
    }
    lists
}

fn one(value: &Value) -> Option<Ownership> {
    let why = value["why"].as_str()?.trim().to_string();
    let by = match &value["by"] {
        Value::Sequence(keys) => {
            let keys = keys.iter().map(|key| key.as_str().map(str::to_string));
            By::Fields(keys.collect::<Option<Vec<_>>>()?)
        }
        Value::String(by) if by == "entry" => By::Entry,
        Value::String(by) if by == "value" => By::Value,
        Value::String(by) if by == "list" => By::List,
        _ => return None,
    };
    (!why.is_empty()).then_some(Ownership { by, why })
}
