// SPDX-License-Identifier: Apache-2.0

//! The definitions are compared with the crate's own text, read in another way: line by line.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    attributes::cased,
    collect::collect,
    descriptions::Descriptions,
    model::{Kind, Model},
    openapi,
    ownership::Ownerships,
    source::{Source, locate},
};

fn crate_folder() -> (std::path::PathBuf, String) {
    locate(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../libnmstate/Cargo.toml")).unwrap()
}

fn model() -> Model {
    let (folder, version) = crate_folder();
    collect(&Source::read(&folder, &version).unwrap()).unwrap()
}

/// counted returns how many fields each struct of the crate has by its text: lines `pub name: Type,` that no
/// `#[serde(skip)]` or `#[serde(flatten)]` stands before.
fn counted() -> BTreeMap<String, usize> {
    let (folder, _) = crate_folder();
    let mut counts = BTreeMap::new();
    for part in ["", "ifaces"] {
        for entry in fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "rs") {
                count(&fs::read_to_string(path).unwrap(), &mut counts);
            }
        }
    }
    counts
}

fn count(text: &str, counts: &mut BTreeMap<String, usize>) {
    let mut name: Option<String> = None;
    let mut skipped = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(at) = words.iter().position(|w| *w == "struct")
            && !line.starts_with(' ')
            && line.ends_with('{')
        {
            name = words.get(at + 1).map(|n| n.to_string());
            skipped = false;
        } else if line == "}" {
            name = None;
        } else if line.trim() == "#[serde(skip)]" || line.trim() == "#[serde(flatten)]" {
            skipped = true;
        } else if let Some(name) = &name
            && line.starts_with("    pub")
            && line.contains(": ")
        {
            *counts.entry(name.clone()).or_insert(0) += usize::from(!skipped);
            skipped = false;
        }
    }
}

#[test]
fn every_field_of_the_crate_is_defined() {
    let counts = counted();
    let model = model();
    // These have no struct of their own, or their fields are those of another one.
    let special = [
        "Interface",
        "LldpNeighborTlv",
        "BridgePortTrunkTag",
        "InterfaceIpv4",
        "InterfaceIpv6",
        "OvsBridgeStpOptions",
    ];
    let unions = [
        "BridgeConfig",
        "BridgeOptions",
        "BridgePortConfig",
        "BridgeStpOptions",
    ];
    let mut compared = 0;
    for (name, object) in &model.objects {
        if special.contains(&name.as_str())
            || unions.contains(&name.as_str()) && !counts.contains_key(name)
        {
            continue;
        }
        let count = counts.get(name).copied().unwrap_or_default();
        assert_eq!(object.fields.len(), count, "fields of {name}");
        compared += count;
    }
    assert!(compared > 350, "only {compared} fields were compared");
    // Each family has the fields that both its struct and the one it is read by have.
    assert_eq!(model.objects["InterfaceIpv4"].fields.len(), 14);
    assert_eq!(model.objects["InterfaceIpv6"].fields.len(), 15);
}

#[test]
fn every_type_of_interface_has_its_fields() {
    let model = model();
    let interface = &model.objects["Interface"];
    assert_eq!(interface.variants.len(), 20, "{:?}", interface.variants);
    assert_eq!(interface.variants["veth"], interface.variants["ethernet"]);
    let base = &model.objects["BaseInterface"];
    for class in interface.variants.values() {
        let own = &model.objects[class];
        assert_eq!(own.base.as_deref(), Some("BaseInterface"), "{class}");
        for field in own.fields.iter().chain(&base.fields) {
            assert!(
                interface.fields.iter().any(|f| f.name == field.name),
                "{class}.{} is not shown",
                field.name
            );
        }
    }
    let required: Vec<&str> = interface
        .fields
        .iter()
        .filter(|f| f.required)
        .map(|f| f.name.as_str())
        .collect();
    assert_eq!(required, ["name"]);
}

#[test]
fn kinds_are_those_of_the_crate() {
    let model = model();
    let kind = |object: &str, field: &str| {
        model.objects[object]
            .fields
            .iter()
            .find(|f| f.name == field)
            .unwrap_or_else(|| panic!("{object}.{field}"))
            .clone()
    };
    assert_eq!(
        kind("LinuxBridgeStpOptions", "hello-time").kind,
        Kind::Int {
            min: 1,
            max: 10,
            lenient: true
        }
    );
    assert_eq!(
        kind("BridgeOptions", "stp").kind,
        Kind::ObjectOrBool("BridgeStpOptions".into())
    );
    assert_eq!(kind("VxlanConfig", "remote").kind, Kind::Ip { family: 0 });
    assert_eq!(kind("BondConfig", "port").aliases, ["ports"]);
    assert!(kind("MacSecConfig", "mka-cak").secret && kind("LibreswanConfig", "psk").secret);
    assert!(
        kind("BaseInterface", "min-mtu").read_only
            && !kind("BaseInterface", "copy-mac-from").read_only
    );
    assert!(kind("LldpConfig", "neighbors").unchecked);
    assert!(model.enums["Dhcpv4ClientId"].open && !model.enums["InterfaceState"].open);
    assert!(model.enums["BondMode"].others.contains(&"lacp".to_string()));
}

#[test]
fn a_field_without_a_description_is_told() {
    let model = model();
    let all = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptions.yaml"))
        .unwrap();
    assert_eq!(
        Descriptions::read(&all).unwrap().check(&model),
        Vec::<String>::new()
    );
    let less = all.replace("  max-age: {", "  max-aged: {");
    let wrong = Descriptions::read(&less).unwrap().check(&model);
    assert_eq!(
        wrong,
        [
            "LinuxBridgeStpOptions.max-age has no description",
            "LinuxBridgeStpOptions.max-aged is no field of the crate"
        ]
    );
}

#[test]
fn a_description_has_the_range_of_a_number() {
    let texts =
        Descriptions::read("LinuxBridgeStpOptions: {max-age: {text: How old., unit: seconds}}")
            .unwrap();
    let definitions = openapi::definitions(&model(), &texts, &Ownerships::read("{}").unwrap());
    let max_age = &definitions["LinuxBridgeStpOptions"]["properties"]["max-age"];
    assert_eq!(max_age["description"], "How old. From 6 to 40.");
    assert_eq!(
        (&max_age["minimum"], &max_age["maximum"]),
        (&6.into(), &40.into())
    );
    assert_eq!(max_age["x-nmstate-unit"], "seconds");
}

#[test]
fn a_list_without_a_decision_on_its_owners_is_told() {
    let model = model();
    let all =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ownership.yaml")).unwrap();
    assert_eq!(
        Ownerships::read(&all).unwrap().check(&model),
        Vec::<String>::new()
    );
    for (from, to, want) in [
        (
            "  vfs: {",
            "  total-vfs: {",
            vec![
                "the list SrIovConfig.vfs has no decision on who owns what of it",
                "SrIovConfig.total-vfs is no list that can be written",
            ],
        ),
        (
            "  port: {by: [name], why: A port of a bridge has",
            "  port: {by: list, why: A port of a bridge has",
            vec!["BridgeConfig.port has more than one decision"],
        ),
        (
            "by: [id]",
            "by: [ident]",
            vec!["SrIovConfig.vfs: its entries have no Fields([\"ident\"])"],
        ),
        (
            "by: [id]",
            "by: value",
            vec!["SrIovConfig.vfs: its entries have no Value"],
        ),
    ] {
        let other = all.replace(from, to);
        assert_ne!(other, all);
        assert_eq!(Ownerships::read(&other).unwrap().check(&model), want);
    }
    assert!(Ownerships::read("SrIovConfig: {vfs: {by: [id]}}").is_err());
}

#[test]
fn definitions_say_who_owns_what() {
    let all =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ownership.yaml")).unwrap();
    let definitions = openapi::definitions(
        &model(),
        &Descriptions::read("{}").unwrap(),
        &Ownerships::read(&all).unwrap(),
    );
    let list = |object: &str, field: &str| definitions[object]["properties"][field].clone();
    let interfaces = list("NetworkState", "interfaces");
    assert_eq!(
        interfaces["x-kubernetes-list-map-keys"],
        serde_json::json!(["name", "type"])
    );
    assert!(interfaces["items"]["x-kubernetes-map-type"].is_null());
    let rules = list("RouteRules", "config");
    assert_eq!(rules["items"]["x-kubernetes-map-type"], "atomic");
    let keys = rules["x-kubernetes-list-map-keys"].as_array().unwrap();
    assert!(keys.contains(&"suppress_prefixlength".into()) && keys.contains(&"priority".into()));
    assert_eq!(list("VrfConfig", "port")["x-kubernetes-list-type"], "set");
    for (object, field) in [("DnsClientState", "server"), ("Routes", "running")] {
        assert_eq!(list(object, field)["x-kubernetes-list-type"], "atomic");
    }
}

#[test]
fn names_are_cased_as_serde_does() {
    for (name, rule, want) in [
        ("mac_address", Some("kebab-case"), "mac-address"),
        ("LinuxBridge", Some("kebab-case"), "linux-bridge"),
        ("Hsr2012", Some("kebab-case"), "hsr2012"),
        ("Present", Some("lowercase"), "present"),
        ("external_ids", None, "external_ids"),
    ] {
        assert_eq!(cased(name, rule).unwrap(), want);
    }
    assert!(
        cased("x", Some("PascalCase")).is_err(),
        "a rule that is not known is an error"
    );
}
