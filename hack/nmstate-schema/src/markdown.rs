// SPDX-License-Identifier: Apache-2.0

//! Writes the model as a reference for people: a table of fields for each object, from the whole state on.

use std::{collections::BTreeSet, fmt::Write};

use crate::{
    collect::ROOT,
    descriptions::Descriptions,
    model::{Field, Kind, Model, innermost},
    ownership::{By, Ownerships},
};

const HEAD: &str = "# The fields of a network state

What `spec.desiredState` and `status.currentState` can have, as nmstate VERSION has it. hack/nmstate-schema writes this page.
`kubectl explain nns.spec.desiredState` tells the same. A field with a \\* must be there. A field that is *only read* is in
`status.currentState`; in `spec.desiredState` it is taken and has no effect.

Of a list the page also says what has an owner, as [server-side apply](user-guide/ownership.md) has it: each entry, which is told from
others by some of its fields, each value, or the list as a whole. All else is owned field by field.
";

/// reference returns the page.
pub fn reference(
    model: &Model,
    descriptions: &Descriptions,
    ownerships: &Ownerships,
    version: &str,
) -> String {
    let mut page = HEAD.replace("VERSION", version);
    let mut queue = vec![ROOT.to_string()];
    let mut written = BTreeSet::new();
    while !queue.is_empty() {
        let name = queue.remove(0);
        let Some(object) = model.objects.get(&name) else {
            continue;
        };
        if !written.insert(name.clone()) {
            continue;
        }
        let _ = write!(
            page,
            "\n## {name}\n\n| field | value | |\n| --- | --- | --- |\n"
        );
        let mut fields: Vec<&Field> = object.fields.iter().collect();
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        for field in fields {
            let _ = writeln!(page, "{}", row(model, descriptions, ownerships, field));
            queue.extend(object_of(&field.kind));
        }
    }
    page
}

fn row(
    model: &Model,
    descriptions: &Descriptions,
    ownerships: &Ownerships,
    field: &Field,
) -> String {
    let star = if field.required { " \\*" } else { "" };
    let mut text = descriptions.of(field).text.replace('|', "\\|");
    if let Kind::Int { min, max, .. } = innermost(&field.kind)
        && *max < 256
        && (*min, *max) != (0, u8::MAX.into())
    {
        let _ = write!(text, " From {min} to {max}.");
    }
    if field.read_only {
        text.push_str(" *Only read.*");
    }
    if !field.aliases.is_empty() {
        let _ = write!(text, " Also called `{}`.", field.aliases.join("`, `"));
    }
    if let Some(ownership) = ownerships.of(field) {
        let _ = write!(text, " *{}* {}", owned(&ownership.by), ownership.why);
    }
    format!(
        "| `{}`{star} | {} | {text} |",
        field.name,
        value(model, &field.kind)
    )
}

/// owned says what of a list has an owner.
fn owned(by: &By) -> String {
    match by {
        By::Fields(keys) => format!("Owned entry by entry, by `{}`.", keys.join("` and `")),
        By::Entry => "Owned entry by entry, by all of its fields.".into(),
        By::Value => "Owned value by value.".into(),
        By::List => "Owned as a whole.".into(),
    }
}

/// value says what a field takes.
fn value(model: &Model, kind: &Kind) -> String {
    match kind {
        Kind::Bool { .. } => "true, false".into(),
        Kind::Int { .. } => "number".into(),
        Kind::Text { .. } => "text".into(),
        Kind::Ip { family: 0 } => "IP address".into(),
        Kind::Ip { family } => format!("IPv{family} address"),
        Kind::Enum { name, .. } => match model.enums.get(name) {
            Some(e) if e.open => format!("text, such as `{}`", e.values.join("`, `")),
            Some(e) => format!("`{}`", e.values.join("`, `")),
            None => "text".into(),
        },
        Kind::Object(name) | Kind::ObjectOrBool(name) => {
            format!("[{name}](#{})", name.to_lowercase())
        }
        Kind::List(item) => format!("list of {}", value(model, item)),
        Kind::Map(item) => format!("keys and values: {}", value(model, item)),
        Kind::Any => "anything".into(),
    }
}

fn object_of(kind: &Kind) -> Option<String> {
    match innermost(kind) {
        Kind::Object(name) | Kind::ObjectOrBool(name) => Some(name.clone()),
        _ => None,
    }
}
