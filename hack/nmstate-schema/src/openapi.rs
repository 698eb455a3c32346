// SPDX-License-Identifier: Apache-2.0

//! Writes the model as OpenAPI definitions. What OpenAPI has no words for is in extensions, `x-nmstate-…`, which the
//! server reads and does not serve.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{
    descriptions::Descriptions,
    model::{Field, Kind, Model, Object},
    ownership::{By, Ownerships},
};

/// definitions returns all objects of the model, by name.
pub fn definitions(
    model: &Model,
    descriptions: &Descriptions,
    ownerships: &Ownerships,
) -> BTreeMap<String, Value> {
    let writer = Writer {
        model,
        descriptions,
        ownerships,
    };
    model
        .objects
        .iter()
        .map(|(name, object)| (name.clone(), writer.object(object)))
        .collect()
}

struct Writer<'a> {
    model: &'a Model,
    descriptions: &'a Descriptions,
    ownerships: &'a Ownerships,
}

impl Writer<'_> {
    fn object(&self, object: &Object) -> Value {
        let mut schema = Map::from_iter([("type".to_string(), json!("object"))]);
        let properties: Map<String, Value> = object
            .fields
            .iter()
            .map(|field| (field.name.clone(), self.property(field)))
            .collect();
        schema.insert("properties".into(), properties.into());
        let required: BTreeSet<&str> = object
            .fields
            .iter()
            .filter(|f| f.required)
            .map(|f| f.name.as_str())
            .collect();
        let aliases: BTreeMap<&str, &str> = object
            .fields
            .iter()
            .flat_map(|f| f.aliases.iter().map(|a| (a.as_str(), f.name.as_str())))
            .collect();
        let mut add = |name: &str, value: Value, empty: bool| {
            if !empty {
                schema.insert(name.into(), value);
            }
        };
        let bases: Vec<Value> = object
            .base
            .iter()
            .map(|base| json!({"$ref": reference(base)}))
            .collect();
        add("allOf", json!(bases), bases.is_empty());
        add("required", json!(required), required.is_empty());
        add("x-nmstate-aliases", json!(aliases), aliases.is_empty());
        add(
            "x-nmstate-one-of",
            json!(object.one_of),
            object.one_of.is_empty(),
        );
        add(
            "x-nmstate-variants",
            json!(object.variants),
            object.variants.is_empty(),
        );
        schema.into()
    }

    fn property(&self, field: &Field) -> Value {
        let mut schema = self.kind(&field.kind);
        self.own(field, &mut schema);
        let description = self.descriptions.of(field);
        if !description.text.is_empty() {
            schema.insert(
                "description".into(),
                json!(self.text(field, &description.text)),
            );
        }
        if let Some(unit) = description.unit {
            schema.insert("x-nmstate-unit".into(), json!(unit));
        }
        if field.read_only {
            schema.insert("readOnly".into(), json!(true));
        }
        if field.unchecked {
            schema.insert("x-nmstate-unchecked".into(), json!(true));
        }
        if field.secret {
            schema.insert("format".into(), json!("password"));
        }
        schema.into()
    }

    /// own says who owns what of a list. Of one that is only shown nobody owns anything.
    fn own(&self, field: &Field, schema: &mut Map<String, Value>) {
        let Some(ownership) = self.ownerships.of(field) else {
            return;
        };
        let list_type = match ownership.by {
            By::Fields(_) | By::Entry => "map",
            By::Value => "set",
            By::List => "atomic",
        };
        schema.insert("x-kubernetes-list-type".into(), json!(list_type));
        let keys = self.ownerships.keys(self.model, field);
        if !keys.is_empty() {
            schema.insert("x-kubernetes-list-map-keys".into(), json!(keys));
        }
        if ownership.by == By::Entry {
            schema["items"]["x-kubernetes-map-type"] = json!("atomic");
        }
    }

    /// text adds to a description what the types say: the range of a number, if it is not the one of its type.
    fn text(&self, field: &Field, text: &str) -> String {
        match &field.kind {
            Kind::Int { min, max, .. } if !WHOLE.contains(&(*min, *max)) => {
                format!("{text} From {min} to {max}.")
            }
            Kind::Enum { name, .. } => match self.model.enums.get(name) {
                Some(e) if !e.open && !e.others.is_empty() => {
                    format!("{text} Also read as: {}.", e.others.join(", "))
                }
                _ => text.to_string(),
            },
            _ => text.to_string(),
        }
    }

    fn kind(&self, kind: &Kind) -> Map<String, Value> {
        let value = match kind {
            Kind::Bool { lenient: true } => json!({"type": "boolean", "x-nmstate-takes": "string"}),
            Kind::Bool { lenient: false } => json!({"type": "boolean"}),
            Kind::Int { min, max, lenient } => return number(*min, *max, *lenient),
            Kind::Text { lenient: true } => json!({"type": "string", "x-nmstate-takes": "integer"}),
            Kind::Text { lenient: false } => json!({"type": "string"}),
            Kind::Ip { family: 0 } => json!({"type": "string", "format": "ip"}),
            Kind::Ip { family } => json!({"type": "string", "format": format!("ipv{family}")}),
            Kind::Enum { name, lenient } => return self.enumeration(name, *lenient),
            Kind::Object(name) => json!({"$ref": reference(name)}),
            Kind::ObjectOrBool(name) => {
                json!({"$ref": reference(name), "x-nmstate-takes": "boolean"})
            }
            Kind::List(item) => {
                json!({"type": "array", "items": self.kind(item), "x-kubernetes-list-type": "atomic"})
            }
            Kind::Map(item) => json!({"type": "object", "additionalProperties": self.kind(item)}),
            Kind::Any => json!({}),
        };
        value.as_object().cloned().unwrap_or_default()
    }

    fn enumeration(&self, name: &str, lenient: bool) -> Map<String, Value> {
        let mut schema = Map::from_iter([("type".to_string(), json!("string"))]);
        let Some(enumeration) = self.model.enums.get(name) else {
            return schema;
        };
        // The values of an open enumeration are some of those that nmstate takes.
        let values = if enumeration.open {
            "x-nmstate-known"
        } else {
            "enum"
        };
        schema.insert(values.into(), json!(enumeration.values));
        if !enumeration.others.is_empty() {
            schema.insert("x-nmstate-others".into(), json!(enumeration.others));
        }
        if enumeration.any_case {
            schema.insert("x-nmstate-any-case".into(), json!(true));
        }
        if lenient {
            schema.insert("x-nmstate-takes".into(), json!("integer"));
        }
        schema
    }
}

/// The ranges of Rust's integers, which a reader need not be told.
const WHOLE: [(i128, i128); 6] = [
    (0, u8::MAX as i128),
    (0, u16::MAX as i128),
    (0, u32::MAX as i128),
    (0, u64::MAX as i128),
    (i32::MIN as i128, i32::MAX as i128),
    (i64::MIN as i128, i64::MAX as i128),
];

/// number returns the schema of a number. OpenAPI's limits are float64: one that it could not tell exactly is left out.
fn number(min: i128, max: i128, lenient: bool) -> Map<String, Value> {
    const EXACT: i128 = 1 << 53;
    let mut schema = Map::from_iter([
        ("type".to_string(), json!("integer")),
        ("format".to_string(), json!("int64")),
    ]);
    if min > -EXACT {
        schema.insert("minimum".into(), json!(min as i64));
    }
    if max < EXACT {
        schema.insert("maximum".into(), json!(max as i64));
    }
    if lenient {
        schema.insert("x-nmstate-takes".into(), json!("string"));
    }
    schema
}

fn reference(name: &str) -> String {
    format!("#/definitions/{name}")
}
