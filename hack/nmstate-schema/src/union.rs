// SPDX-License-Identifier: Apache-2.0

//! Unions of objects: OpenAPI v2 has no oneOf, so that what is one of many types is shown with the fields of all.

use std::collections::BTreeSet;

use crate::model::{Field, Kind, Model, Object};

/// add adds an object that has the fields of all variants: pairs of a value of the field `type` and an object.
pub fn add(model: &mut Model, name: &str, variants: &[(String, String)]) -> Result<(), String> {
    let names: BTreeSet<&String> = variants.iter().map(|(_, object)| object).collect();
    let mut fields: Vec<Field> = Vec::new();
    let mut bases = BTreeSet::new();
    for object in &names {
        let object = model
            .objects
            .get(*object)
            .cloned()
            .ok_or_else(|| format!("{name}: no object {object}"))?;
        bases.extend(object.base);
        for field in object.fields {
            match fields.iter().position(|known| known.name == field.name) {
                Some(at) => fields[at] = both(model, &fields[at].clone(), &field)?,
                None => fields.push(field),
            }
        }
    }
    // What only some have, none must have.
    for field in &mut fields {
        let has = |object: &&String| {
            model.objects[*object]
                .fields
                .iter()
                .any(|f| f.name == field.name)
        };
        field.required = field.required && names.iter().all(has);
    }
    for base in bases {
        let base = model
            .objects
            .get(&base)
            .ok_or_else(|| format!("{name}: no object {base}"))?;
        fields.extend(base.fields.iter().cloned());
    }
    let object = Object {
        fields,
        variants: variants
            .iter()
            .filter(|(value, _)| !value.is_empty())
            .cloned()
            .collect(),
        ..Default::default()
    };
    model.objects.insert(name.to_string(), object);
    Ok(())
}

/// both returns a field that is in two objects.
fn both(model: &mut Model, a: &Field, b: &Field) -> Result<Field, String> {
    let mut field = a.clone();
    field.kind = kind(model, &a.kind, &b.kind)?;
    field.required = a.required && b.required;
    field.read_only = a.read_only && b.read_only;
    field.origins.extend(b.origins.iter().cloned());
    for alias in &b.aliases {
        if !field.aliases.contains(alias) {
            field.aliases.push(alias.clone());
        }
    }
    Ok(field)
}

fn kind(model: &mut Model, a: &Kind, b: &Kind) -> Result<Kind, String> {
    match (a, b) {
        (a, b) if a == b => Ok(a.clone()),
        (Kind::List(a), Kind::List(b)) => Ok(Kind::List(Box::new(kind(model, a, b)?))),
        (Kind::Object(a), Kind::Object(b)) => Ok(Kind::Object(object(model, a, b)?)),
        (Kind::Object(a), Kind::ObjectOrBool(b)) | (Kind::ObjectOrBool(a), Kind::Object(b)) => {
            Ok(Kind::ObjectOrBool(object(model, a, b)?))
        }
        // The narrower range is the one to tell.
        (
            Kind::Int {
                min: a,
                max: b,
                lenient,
            },
            Kind::Int {
                min: c,
                max: d,
                lenient: other,
            },
        ) => Ok(Kind::Int {
            min: *a.max(c),
            max: *b.min(d),
            lenient: *lenient || *other,
        }),
        // Texts of which some are enumerations.
        (Kind::Enum { .. } | Kind::Text { .. }, Kind::Enum { .. } | Kind::Text { .. }) => {
            Ok(Kind::Text { lenient: true })
        }
        (a, b) => Err(format!("no union of {a:?} and {b:?}")),
    }
}

/// object returns the name of the union of two objects: what their names end in together, such as BridgeConfig.
fn object(model: &mut Model, a: &str, b: &str) -> Result<String, String> {
    let name = common_end(a, b);
    if name.is_empty() || model.objects.contains_key(&name) && name != a && name != b {
        return Err(format!("no name for the union of {a} and {b}"));
    }
    add(
        model,
        &name,
        &[
            (String::new(), a.to_string()),
            (String::new(), b.to_string()),
        ],
    )?;
    Ok(name)
}

fn common_end(a: &str, b: &str) -> String {
    let same = a
        .chars()
        .rev()
        .zip(b.chars().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let end = &a[a.len() - same..];
    end.find(char::is_uppercase)
        .map_or(String::new(), |at| end[at..].to_string())
}
