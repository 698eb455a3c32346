// SPDX-License-Identifier: Apache-2.0

//! Finds the source of the pinned crate nmstate, and the types and methods in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use syn::{Fields, ImplItem, Item, ItemEnum, ItemStruct, Stmt};

/// Where the types of a network state are, within the crate. The other folders are about backends.
const FOLDERS: [&str; 2] = ["", "ifaces"];

/// The source of the crate: its types by their names, and what their methods say.
#[derive(Default)]
pub struct Source {
    pub version: String,
    pub structs: BTreeMap<String, ItemStruct>,
    pub enums: BTreeMap<String, ItemEnum>,
    /// Other names of types.
    pub aliases: BTreeMap<String, String>,
    /// The constants of a type: HELLO_TIME_MAX and the like.
    pub constants: BTreeMap<(String, String), i128>,
    /// The fields that a type's method sanitize clears without a condition: nmstate shows them, and takes them for nothing.
    pub cleared: Vec<(String, String)>,
    /// The names of fields that a method hide_secrets replaces, of its own type or of one within.
    pub secrets: Vec<String>,
}

/// locate returns the folder and the version of the crate nmstate that the manifest's lock file pins.
pub fn locate(manifest: &Path) -> Result<(PathBuf, String), String> {
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(manifest)
        .output()
        .map_err(|e| format!("cargo cannot be run: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata fails: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("cargo metadata cannot be read: {e}"))?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let package = packages
        .iter()
        .find(|p| p["name"] == "nmstate")
        .ok_or_else(|| format!("{} does not depend on nmstate", manifest.display()))?;
    let path = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let folder = path.parent().ok_or("the crate nmstate has no folder")?;
    Ok((
        folder.to_path_buf(),
        package["version"].as_str().unwrap_or_default().to_string(),
    ))
}

impl Source {
    /// read parses the files of the crate in folder.
    pub fn read(folder: &Path, version: &str) -> Result<Self, String> {
        let mut source = Source {
            version: version.to_string(),
            ..Default::default()
        };
        for name in FOLDERS {
            let folder = folder.join(name);
            let entries =
                fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            let mut paths: Vec<PathBuf> =
                entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
            paths.sort();
            for path in paths
                .iter()
                .filter(|p| p.extension().is_some_and(|e| e == "rs"))
            {
                let text =
                    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
                let file =
                    syn::parse_file(&text).map_err(|e| format!("{}: {e}", path.display()))?;
                file.items.into_iter().for_each(|item| source.add(item));
            }
        }
        Ok(source)
    }

    /// object returns the struct that a name stands for.
    pub fn object(&self, name: &str) -> Option<&ItemStruct> {
        self.structs
            .get(self.aliases.get(name).map_or(name, String::as_str))
    }

    /// is_enumeration tells whether a name is an enum of texts, and not of structs.
    pub fn is_enumeration(&self, name: &str) -> bool {
        self.enums.get(name).is_some_and(|item| {
            item.variants
                .iter()
                .any(|v| matches!(v.fields, Fields::Unit))
        })
    }

    fn add(&mut self, item: Item) {
        match item {
            Item::Struct(item) => {
                self.structs.insert(item.ident.to_string(), item);
            }
            Item::Enum(item) => {
                self.enums.insert(item.ident.to_string(), item);
            }
            Item::Type(item) => {
                self.aliases
                    .extend(type_name(&item.ty).map(|name| (item.ident.to_string(), name)));
            }
            Item::Impl(item) if item.trait_.is_none() => {
                let Some(name) = type_name(&item.self_ty) else {
                    return;
                };
                for member in item.items {
                    self.add_member(&name, &member);
                }
            }
            _ => {}
        }
    }

    fn add_member(&mut self, name: &str, member: &ImplItem) {
        match member {
            ImplItem::Const(constant) => {
                if let Some(value) = integer(&constant.expr) {
                    self.constants
                        .insert((name.to_string(), constant.ident.to_string()), value);
                }
            }
            ImplItem::Fn(method) if method.sig.ident == "sanitize" => {
                let cleared = method.block.stmts.iter().filter_map(assigned);
                self.cleared.extend(
                    cleared
                        .filter(|(_, empty)| *empty)
                        .map(|(field, _)| (name.to_string(), field)),
                );
            }
            ImplItem::Fn(method) if method.sig.ident == "hide_secrets" => {
                all_assigned(&method.block.stmts, &mut self.secrets);
            }
            _ => {}
        }
    }
}

/// assigned returns the field in `self.field = value;`, and whether the value is None or empty.
fn assigned(statement: &Stmt) -> Option<(String, bool)> {
    let Stmt::Expr(syn::Expr::Assign(assign), _) = statement else {
        return None;
    };
    let syn::Expr::Field(left) = assign.left.as_ref() else {
        return None;
    };
    let syn::Member::Named(field) = &left.member else {
        return None;
    };
    let empty = match assign.right.as_ref() {
        syn::Expr::Path(path) => path.path.is_ident("None"),
        syn::Expr::Call(call) => call.args.is_empty(),
        _ => false,
    };
    Some((field.to_string(), empty))
}

/// all_assigned adds the fields that are assigned anywhere in statements, behind conditions too.
fn all_assigned(statements: &[Stmt], fields: &mut Vec<String>) {
    for statement in statements {
        fields.extend(assigned(statement).map(|(field, _)| field));
        if let Stmt::Expr(syn::Expr::If(condition), _) = statement {
            all_assigned(&condition.then_branch.stmts, fields);
        }
    }
}

fn integer(expression: &syn::Expr) -> Option<i128> {
    match expression {
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Int(n),
            ..
        }) => n.base10_parse().ok(),
        _ => None,
    }
}

/// type_name returns the last part of a type's path.
pub fn type_name(ty: &syn::Type) -> Option<String> {
    match ty {
        syn::Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()),
        _ => None,
    }
}
