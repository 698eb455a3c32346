// SPDX-License-Identifier: Apache-2.0

//! The attributes `#[serde(…)]` of types, fields and variants.

use syn::{Attribute, Expr, ExprLit, Lit, Token, punctuated::Punctuated};

/// What the attributes of one item say.
#[derive(Default)]
pub struct Serde {
    pub rename: Option<String>,
    pub rename_all: Option<String>,
    pub aliases: Vec<String>,
    pub flatten: bool,
    pub skip: bool,
    pub default: bool,
    pub untagged: bool,
    pub into: Option<String>,
    pub deserialize_with: Option<String>,
}

impl Serde {
    /// read returns what the attributes say. It fails on one that it does not know: that may change the format.
    pub fn read(attributes: &[Attribute]) -> Result<Self, String> {
        let mut serde = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
            let list = attribute
                .parse_args_with(Punctuated::<syn::Meta, Token![,]>::parse_terminated)
                .map_err(|e| format!("an attribute serde cannot be read: {e}"))?;
            for meta in list {
                serde.add(&meta)?;
            }
        }
        Ok(serde)
    }

    fn add(&mut self, meta: &syn::Meta) -> Result<(), String> {
        let name = meta
            .path()
            .get_ident()
            .map(|i| i.to_string())
            .unwrap_or_default();
        let value = text(meta);
        match name.as_str() {
            "rename" => self.rename = value,
            "rename_all" => self.rename_all = value,
            "alias" => self.aliases.extend(value),
            "flatten" => self.flatten = true,
            "skip" => self.skip = true,
            "default" => self.default = true,
            "untagged" => self.untagged = true,
            "into" => self.into = value,
            "deserialize_with" => {
                self.deserialize_with =
                    value.map(|v| v.rsplit("::").next().unwrap_or_default().to_string())
            }
            // These do not change what is read, or go with a table in kinds.rs.
            "skip_serializing_if"
            | "serialize_with"
            | "deny_unknown_fields"
            | "from"
            | "try_from" => {}
            _ => {
                return Err(format!(
                    "the attribute serde({name}) is not known to hack/nmstate-schema"
                ));
            }
        }
        Ok(())
    }
}

fn text(meta: &syn::Meta) -> Option<String> {
    match meta {
        syn::Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(s), ..
            }) => Some(s.value()),
            _ => None,
        },
        _ => None,
    }
}

/// cased returns the name of a field or a variant as rename_all has it.
pub fn cased(name: &str, rename_all: Option<&str>) -> Result<String, String> {
    let words = words(name);
    match rename_all {
        None => Ok(name.to_string()),
        Some("kebab-case") => Ok(words.join("-")),
        Some("snake_case") => Ok(words.join("_")),
        Some("lowercase") => Ok(words.concat()),
        Some("UPPERCASE") => Ok(words.concat().to_uppercase()),
        Some(other) => Err(format!(
            "rename_all = \"{other}\" is not known to hack/nmstate-schema"
        )),
    }
}

/// words splits snake_case and CamelCase as serde does, in lower case: serde begins a word at each capital letter.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in name.split('_').filter(|p| !p.is_empty()) {
        words.push(String::new());
        for (i, c) in part.chars().enumerate() {
            if c.is_uppercase() && i > 0 {
                words.push(String::new());
            }
            if let Some(last) = words.last_mut() {
                last.extend(c.to_lowercase());
            }
        }
    }
    words
}
