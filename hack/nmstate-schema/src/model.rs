// SPDX-License-Identifier: Apache-2.0

//! What the generator knows of the crate's types.

use std::collections::{BTreeMap, BTreeSet};

/// What values a field takes. A lenient kind also takes the value as text, or a number where a text is meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Bool {
        lenient: bool,
    },
    Int {
        min: i128,
        max: i128,
        lenient: bool,
    },
    Text {
        lenient: bool,
    },
    /// An IP address of the given family (4 or 6), or of any (0).
    Ip {
        family: u8,
    },
    Enum {
        name: String,
        lenient: bool,
    },
    Object(String),
    /// An object, or true and false as a short form of {enabled: …}.
    ObjectOrBool(String),
    List(Box<Kind>),
    Map(Box<Kind>),
    Any,
}

/// innermost returns what a list of lists, or a map, has in the end.
pub fn innermost(kind: &Kind) -> &Kind {
    match kind {
        Kind::List(item) | Kind::Map(item) => innermost(item),
        kind => kind,
    }
}

/// A field of a type, by its name in YAML.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub kind: Kind,
    pub required: bool,
    /// The node shows the field, and ignores it in a desired state.
    pub read_only: bool,
    /// nmstate takes any value, because it drops the field unread.
    pub unchecked: bool,
    pub secret: bool,
    /// The types of the crate whose field this is, and the field's name there: where descriptions are found.
    pub origins: BTreeSet<String>,
}

/// An object of the crate.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// The object that this one has all fields of, beside its own.
    pub base: Option<String>,
    pub fields: Vec<Field>,
    /// Of these fields, an object must have exactly one.
    pub one_of: Vec<String>,
    /// The type of the object for each value of its field `type`.
    pub variants: BTreeMap<String, String>,
}

/// An enumeration: the values as nmstate writes them, and the other spellings that it reads.
#[derive(Clone, Debug, Default)]
pub struct Enumeration {
    pub values: Vec<String>,
    pub others: Vec<String>,
    /// nmstate takes other texts, too.
    pub open: bool,
    /// nmstate reads the values in upper case, too.
    pub any_case: bool,
}

/// All types that a network state is made of.
#[derive(Default)]
pub struct Model {
    pub objects: BTreeMap<String, Object>,
    pub enums: BTreeMap<String, Enumeration>,
}
