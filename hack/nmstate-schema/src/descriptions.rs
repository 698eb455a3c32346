// SPDX-License-Identifier: Apache-2.0

//! The descriptions of fields, which people write.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::model::{Field, Model};

/// The description of one field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    pub text: String,
    /// What a number counts, such as seconds.
    pub unit: Option<String>,
}

/// All descriptions, by `Type.field` as the crate and YAML have it.
pub struct Descriptions(BTreeMap<String, Description>);

impl Descriptions {
    /// read reads a YAML of types, of fields, of a text or {text: …, unit: …}.
    pub fn read(text: &str) -> Result<Self, String> {
        let types: BTreeMap<String, BTreeMap<String, Value>> = read_types(text)?;
        let mut all = BTreeMap::new();
        for (name, fields) in types {
            for (field, value) in fields {
                let description = one(&value)
                    .ok_or_else(|| format!("{name}.{field}: neither a text nor {{text, unit}}"))?;
                all.insert(format!("{name}.{field}"), description);
            }
        }
        Ok(Self(all))
    }

    /// of returns the description of a field; of a union of fields, those of all.
    pub fn of(&self, field: &Field) -> Description {
        let mut texts: Vec<&str> = Vec::new();
        let mut unit = None;
        for description in field.origins.iter().filter_map(|origin| self.0.get(origin)) {
            if !texts.contains(&description.text.as_str()) {
                texts.push(&description.text);
            }
            unit = unit.or(description.unit.clone());
        }
        Description {
            text: texts.join(" "),
            unit,
        }
    }

    /// check returns what is wrong: fields without a description, and descriptions without a field.
    pub fn check(&self, model: &Model) -> Vec<String> {
        let fields: BTreeSet<&String> = model
            .objects
            .values()
            .flat_map(|o| o.fields.iter().flat_map(|f| f.origins.iter()))
            .collect();
        let lacking = fields
            .iter()
            .filter(|f| self.0.get(**f).is_none_or(|d| d.text.is_empty()));
        let lacking = lacking.map(|f| format!("{f} has no description"));
        let useless = self
            .0
            .keys()
            .filter(|d| !fields.contains(d))
            .map(|d| format!("{d} is no field of the crate"));
        lacking.chain(useless).collect()
    }
}

/// read_types reads a YAML of types, of fields.
pub fn read_types(text: &str) -> Result<BTreeMap<String, BTreeMap<String, Value>>, String> {
    let value: Value = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
    let mut types = BTreeMap::new();
    for (name, fields) in value.as_mapping().cloned().unwrap_or_default() {
        let mut all = BTreeMap::new();
        for (field, value) in fields.as_mapping().cloned().unwrap_or_default() {
            let field = field
                .as_str()
                .ok_or_else(|| format!("{name:?}: a field's name is no text: {field:?}"))?;
            all.insert(field.to_string(), value);
        }
        types.insert(name.as_str().unwrap_or_default().to_string(), all);
    }
    Ok(types)
}

fn one(value: &Value) -> Option<Description> {
    let text = |value: &Value| value.as_str().map(|text| text.trim().to_string());
    match value {
        Value::String(_) => Some(Description {
            text: text(value)?,
            unit: None,
        }),
        Value::Mapping(_) => Some(Description {
            text: text(&value["text"])?,
            unit: text(&value["unit"]),
        }),
        _ => None,
    }
}
