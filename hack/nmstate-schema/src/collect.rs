// SPDX-License-Identifier: Apache-2.0

//! Makes the model: all types that can be reached from a network state.

use std::collections::BTreeSet;

use syn::{Fields, ItemStruct};

use crate::{
    attributes::{Serde, cased},
    kinds::{self, Reading},
    model::{Enumeration, Field, Kind, Model, Object},
    source::{Source, type_name},
    union,
};

/// The type that a network state is.
pub const ROOT: &str = "NetworkState";

/// Fields that a desired state may have and nmstate ignores, beside those that a method sanitize clears. Each is what
/// the node reports beside what is configured, or a maximum of the hardware's.
const READ_ONLY: [(&str, &str); 15] = [
    ("DnsState", "running"),
    ("EthtoolRingConfig", "rx_jumbo_max"),
    ("EthtoolRingConfig", "rx_max"),
    ("EthtoolRingConfig", "rx_mini_max"),
    ("EthtoolRingConfig", "tx_max"),
    ("HsrConfig", "supervision_address"),
    ("InterfaceIpAddr", "mptcp_flags"),
    ("InterfaceIpAddr", "preferred_life_time"),
    ("InterfaceIpAddr", "protocol"),
    ("InterfaceIpAddr", "valid_life_time"),
    ("LinuxBridgeOptions", "gc_timer"),
    ("LinuxBridgeOptions", "hello_timer"),
    ("Routes", "running"),
    ("SrIovConfig", "max_vfs"),
    ("SrIovVfConfig", "iface_name"),
];

/// Fields that a method sanitize clears although they count: it is called after nmstate has used them.
const USED_BEFORE: [(&str, &str); 1] = [("BaseInterface", "copy_mac_from")];

/// The type of an interface by its field `type`, where it is not the type that is named as the variant of InterfaceType.
const SAME_AS: [(&str, &str); 1] = [("Veth", "Ethernet")];

/// collect returns the model of the source's network state.
pub fn collect(source: &Source) -> Result<Model, String> {
    let mut collector = Collector {
        source,
        model: Model::default(),
    };
    collector.object(ROOT)?;
    collector.interface()?;
    collector.neighbour()?;
    Ok(collector.model)
}

struct Collector<'a> {
    source: &'a Source,
    model: Model,
}

impl Collector<'_> {
    fn reach(&mut self, kind: &Kind) -> Result<(), String> {
        match kind {
            Kind::List(item) | Kind::Map(item) => self.reach(item),
            Kind::Enum { name, .. } => self.enumeration(name),
            Kind::Object(name) | Kind::ObjectOrBool(name) => self.object(name),
            _ => Ok(()),
        }
    }

    fn object(&mut self, name: &str) -> Result<(), String> {
        // Interface and LldpNeighborTlv are made of their variants at the end.
        if self.model.objects.contains_key(name) || name == "Interface" || name == "LldpNeighborTlv"
        {
            return Ok(());
        }
        if name == "BridgePortTrunkTag" {
            return self.trunk_tag();
        }
        let item = self
            .source
            .object(name)
            .ok_or_else(|| format!("the crate has no struct {name}"))?;
        self.model
            .objects
            .insert(name.to_string(), Object::default());
        let object = self
            .fields(name, item)
            .map_err(|e| format!("{name}: {e}"))?;
        for field in &object.fields {
            self.reach(&field.kind)?;
        }
        if let Some(base) = &object.base {
            self.object(base)?;
        }
        self.model.objects.insert(name.to_string(), object);
        Ok(())
    }

    /// fields returns a struct with its fields, and the struct that is flattened into it.
    fn fields(&self, name: &str, item: &ItemStruct) -> Result<Object, String> {
        let serde = Serde::read(&item.attrs)?;
        // An IP stack is read by way of a struct that has the fields of both families.
        if let Some(through) = serde
            .into
            .as_deref()
            .and_then(|into| self.source.structs.get(into))
        {
            let own: BTreeSet<String> = item
                .fields
                .iter()
                .filter_map(|f| Some(f.ident.as_ref()?.to_string()))
                .collect();
            let mut through = through.clone();
            if let Fields::Named(named) = &mut through.fields {
                named.named = std::mem::take(&mut named.named)
                    .into_iter()
                    .filter(|f| {
                        f.ident
                            .as_ref()
                            .is_some_and(|i| own.contains(&i.to_string()))
                    })
                    .collect();
            }
            return self.fields(name, &through);
        }
        let mut object = Object::default();
        for member in &item.fields {
            let Some(ident) = &member.ident else {
                return Err("a field has no name".into());
            };
            let attributes = Serde::read(&member.attrs)?;
            if attributes.skip {
                continue;
            }
            if attributes.flatten {
                // Otherwise it is a map of what no field takes.
                if let Some(base) =
                    type_name(&member.ty).filter(|t| self.source.structs.contains_key(t))
                {
                    object.base = Some(base);
                }
                continue;
            }
            object.fields.push(self.field(
                name,
                &ident.to_string(),
                &member.ty,
                &serde,
                attributes,
            )?);
        }
        Ok(object)
    }

    fn field(
        &self,
        owner: &str,
        ident: &str,
        ty: &syn::Type,
        serde: &Serde,
        own: Serde,
    ) -> Result<Field, String> {
        let name = match own.rename {
            Some(name) => name,
            None => cased(ident, serde.rename_all.as_deref())?,
        };
        let (mut kind, optional) =
            kinds::of(ty, self.source).map_err(|e| format!("{ident}: {e}"))?;
        let mut unchecked = false;
        if let Some(function) = &own.deserialize_with {
            kind = match kinds::read_with(function, kind).map_err(|e| format!("{ident}: {e}"))? {
                Reading::Kind(kind) => kind,
                Reading::Nothing(kind) => {
                    unchecked = true;
                    kind
                }
            };
        }
        if owner == "OvsDbIfaceConfig" {
            kind = Kind::Map(Box::new(Kind::Any));
        }
        self.limit(owner, ident, &mut kind);
        // serde takes an Option that is absent for None, unless a function reads it.
        let needed = !optional || own.deserialize_with.is_some();
        let is = |table: &[(&str, &str)]| table.contains(&(owner, ident));
        let cleared = self
            .source
            .cleared
            .iter()
            .any(|(t, f)| t == owner && f == ident);
        Ok(Field {
            aliases: own.aliases,
            kind,
            required: needed && !own.default && !serde.default,
            read_only: is(&READ_ONLY) || unchecked || cleared && !is(&USED_BEFORE),
            unchecked,
            secret: self.source.secrets.iter().any(|secret| secret == ident),
            // Under another name a type has the same fields, and no constants of its own: what reads it does not check them.
            origins: BTreeSet::from([format!(
                "{}.{name}",
                self.source.aliases.get(owner).map_or(owner, |o| o)
            )]),
            name,
        })
    }

    /// limit narrows a number by the type's constants, such as HELLO_TIME_MIN and HELLO_TIME_MAX of hello_time.
    fn limit(&self, owner: &str, ident: &str, kind: &mut Kind) {
        let Kind::Int { min, max, .. } = kind else {
            return;
        };
        let constant = |suffix: &str| {
            let name = format!("{}_{suffix}", ident.to_uppercase());
            self.source
                .constants
                .get(&(owner.to_string(), name))
                .copied()
        };
        *min = constant("MIN").unwrap_or(*min);
        *max = constant("MAX").unwrap_or(*max);
    }

    fn enumeration(&mut self, name: &str) -> Result<(), String> {
        let item = self
            .source
            .enums
            .get(name)
            .ok_or_else(|| format!("the crate has no enum {name}"))?;
        let serde = Serde::read(&item.attrs)?;
        let mut result = Enumeration {
            any_case: name == "LinuxBridgeMulticastRouterType",
            ..Default::default()
        };
        for variant in &item.variants {
            let own = Serde::read(&variant.attrs)?;
            if own.skip {
                continue;
            }
            if own.untagged {
                result.open = true;
                continue;
            }
            result.values.push(match own.rename {
                Some(name) => name,
                None => cased(&variant.ident.to_string(), serde.rename_all.as_deref())?,
            });
            result.others.extend(own.aliases);
            if result.any_case
                && let Some((_, number)) = &variant.discriminant
                && let syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Int(n),
                    ..
                }) = number
            {
                result.others.push(n.base10_digits().to_string());
            }
        }
        self.model.enums.insert(name.to_string(), result);
        Ok(())
    }

    /// A tag of a trunk is an id or a range of ids; the crate reads it by hand.
    fn trunk_tag(&mut self) -> Result<(), String> {
        let name = "BridgePortTrunkTag";
        let range = "BridgePortVlanRange";
        self.object(range)?;
        let field = |field: &str, kind: Kind| Field {
            name: field.to_string(),
            aliases: Vec::new(),
            kind,
            required: false,
            read_only: false,
            unchecked: false,
            secret: false,
            origins: BTreeSet::from([format!("{name}.{field}")]),
        };
        let id = field(
            "id",
            Kind::Int {
                min: 0,
                max: u16::MAX.into(),
                lenient: true,
            },
        );
        let object = Object {
            one_of: vec!["id".into(), "id-range".into()],
            fields: vec![id, field("id-range", Kind::Object(range.into()))],
            ..Default::default()
        };
        self.model.objects.insert(name.to_string(), object);
        Ok(())
    }

    /// interface makes Interface of the types of interfaces, each of which is the variants of its field `type`.
    fn interface(&mut self) -> Result<(), String> {
        let item = self
            .source
            .enums
            .get("InterfaceType")
            .ok_or("the crate has no enum InterfaceType")?;
        let types = Serde::read(&item.attrs)?;
        let classes = self
            .source
            .enums
            .get("Interface")
            .ok_or("the crate has no enum Interface")?;
        let mut variants = Vec::new();
        for variant in &item.variants {
            let ident = variant.ident.to_string();
            let same = SAME_AS
                .iter()
                .find(|(t, _)| *t == ident)
                .map_or(ident.as_str(), |(_, same)| same);
            let class = classes.variants.iter().find(|v| v.ident == same);
            // A type without a class of its own, such as tun, has the fields of all interfaces.
            let class = match class.and_then(payload) {
                Some(class) if class != "UnknownInterface" => class,
                _ => continue,
            };
            let own = Serde::read(&variant.attrs)?;
            let value = own
                .rename
                .map_or_else(|| cased(&ident, types.rename_all.as_deref()), Ok)?;
            self.object(&class)?;
            variants.push((value, class));
        }
        union::add(&mut self.model, "Interface", &variants)
    }

    /// neighbour makes LldpNeighborTlv, which nmstate shows and never reads, of all its forms.
    fn neighbour(&mut self) -> Result<(), String> {
        let item = self
            .source
            .enums
            .get("LldpNeighborTlv")
            .ok_or("the crate has no enum LldpNeighborTlv")?;
        let mut variants = Vec::new();
        for class in item.variants.iter().filter_map(payload) {
            self.object(&class)?;
            variants.push((String::new(), class));
        }
        union::add(&mut self.model, "LldpNeighborTlv", &variants)
    }
}

/// payload returns the type within a variant such as Bond(Box<BondInterface>).
fn payload(variant: &syn::Variant) -> Option<String> {
    kinds::boxed(&variant.fields.iter().next()?.ty)
}
