// SPDX-License-Identifier: Apache-2.0

//! What values the crate's types take: from Rust's types, and from tables for what the crate reads with functions of its own.

use syn::{GenericArgument, PathArguments, Type};

use crate::{
    model::Kind,
    source::{Source, type_name},
};

/// Types that the crate reads by code of its own, and what that code takes.
const BY_HAND: [(&str, Hand); 6] = [
    ("Interfaces", Hand::ListOf("Interface")),
    ("EthtoolFeatureConfig", Hand::MapOfBool),
    ("AddressProtocol", Hand::Text),
    ("PciAddress", Hand::StrictText),
    // It is read as any JSON; numbers and booleans become text.
    ("OvsDbIfaceConfig", Hand::Object("OvsDbIfaceConfig")),
    // auto, disabled and enabled, or 1, 0 and 2: see de_multicast_router below.
    (
        "LinuxBridgeMulticastRouterType",
        Hand::Enum("LinuxBridgeMulticastRouterType"),
    ),
];

enum Hand {
    ListOf(&'static str),
    MapOfBool,
    Text,
    StrictText,
    Object(&'static str),
    Enum(&'static str),
}

impl Hand {
    fn kind(&self) -> Kind {
        match self {
            Hand::ListOf(name) => Kind::List(Box::new(Kind::Object(name.to_string()))),
            Hand::MapOfBool => Kind::Map(Box::new(Kind::Bool { lenient: true })),
            Hand::Text => Kind::Text { lenient: true },
            Hand::StrictText => Kind::Text { lenient: false },
            Hand::Object(name) => Kind::Object(name.to_string()),
            Hand::Enum(name) => Kind::Enum {
                name: name.to_string(),
                lenient: true,
            },
        }
    }
}

/// of returns what a type takes, and whether it is an Option.
pub fn of(ty: &Type, source: &Source) -> Result<(Kind, bool), String> {
    let name = type_name(ty).ok_or("a field has a type without a name")?;
    let argument =
        |n: usize| argument(ty, n).ok_or_else(|| format!("{name} lacks its argument {n}"));
    let kind = match name.as_str() {
        "Option" => return Ok((of(argument(0)?, source)?.0, true)),
        "Box" => return of(argument(0)?, source),
        "Vec" | "HashSet" => Kind::List(Box::new(of(argument(0)?, source)?.0)),
        "HashMap" | "BTreeMap" => Kind::Map(Box::new(of(argument(1)?, source)?.0)),
        "bool" => Kind::Bool { lenient: false },
        "u8" => integer(0, u8::MAX.into()),
        "u16" => integer(0, u16::MAX.into()),
        "u32" => integer(0, u32::MAX.into()),
        "u64" => integer(0, u64::MAX.into()),
        "usize" => integer(0, u64::MAX.into()),
        "i32" => integer(i32::MIN.into(), i32::MAX.into()),
        "i64" => integer(i64::MIN.into(), i64::MAX.into()),
        "String" => Kind::Text { lenient: false },
        "IpAddr" => Kind::Ip { family: 0 },
        "Ipv4Addr" => Kind::Ip { family: 4 },
        "Ipv6Addr" => Kind::Ip { family: 6 },
        _ => match BY_HAND.iter().find(|(known, _)| *known == name) {
            Some((_, hand)) => hand.kind(),
            None if source.is_enumeration(&name) => Kind::Enum {
                name,
                lenient: false,
            },
            None => Kind::Object(name),
        },
    };
    Ok((kind, false))
}

fn integer(min: i128, max: i128) -> Kind {
    Kind::Int {
        min,
        max,
        lenient: false,
    }
}

fn argument(ty: &Type, n: usize) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    match arguments.args.iter().nth(n)? {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

/// boxed returns the name of a type, without the Box around it.
pub fn boxed(ty: &Type) -> Option<String> {
    match type_name(ty)?.as_str() {
        "Box" => boxed(argument(ty, 0)?),
        name => Some(name.to_string()),
    }
}

/// What a function named by deserialize_with takes.
pub enum Reading {
    Kind(Kind),
    /// The field is dropped unread.
    Nothing(Kind),
}

/// read_with returns what the function takes for a field of the given kind. It fails for a function that it does not know.
pub fn read_with(function: &str, kind: Kind) -> Result<Reading, String> {
    let lenient = match (function, kind) {
        ("skip", kind) => return Ok(Reading::Nothing(kind)),
        ("parse_ethtool_feature", kind) => kind,
        // A number, or yes or no: as text.
        ("parse_ipsec_iface", Kind::Text { .. }) => Kind::Text { lenient: true },
        ("ovs_stp_deserializer", Kind::Object(name)) => Kind::ObjectOrBool(name),
        ("de_multicast_router", kind @ Kind::Enum { .. }) => kind,
        ("option_enum_string_or_integer", Kind::Enum { name, .. }) => Kind::Enum {
            name,
            lenient: true,
        },
        ("option_enum_string_or_integer", kind @ Kind::Text { .. }) => kind,
        ("bool_or_string" | "option_bool_or_string", Kind::Bool { .. }) => {
            Kind::Bool { lenient: true }
        }
        (
            "u8_or_string"
            | "u16_or_string"
            | "u32_or_string"
            | "option_u8_or_string"
            | "option_u16_or_string"
            | "option_u32_or_string"
            | "option_u64_or_string"
            | "option_i32_or_string"
            | "option_i64_or_string",
            Kind::Int { min, max, .. },
        ) => Kind::Int {
            min,
            max,
            lenient: true,
        },
        (other, kind) => {
            return Err(format!(
                "deserialize_with = \"{other}\" is not known for {kind:?}"
            ));
        }
    };
    Ok(Reading::Kind(lenient))
}
