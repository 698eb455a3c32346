// SPDX-License-Identifier: Apache-2.0

//! Writes the OpenAPI definitions of a network state, and a page of its fields:
//! nmstate-schema MANIFEST DESCRIPTIONS OWNERSHIP OUTPUT PAGE
//!
//! MANIFEST is the Cargo.toml whose lock file pins the crate nmstate. The crate is read, never built.

mod attributes;
mod collect;
mod descriptions;
mod kinds;
mod markdown;
mod model;
mod openapi;
mod ownership;
mod source;
#[cfg(test)]
mod tests;
mod union;

use std::{env, fs, path::Path, process::ExitCode};

use descriptions::Descriptions;
use ownership::Ownerships;
use serde_json::json;
use source::Source;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [manifest, descriptions, ownership, output, page] = arguments.as_slice() else {
        eprintln!("usage: nmstate-schema MANIFEST DESCRIPTIONS OWNERSHIP OUTPUT PAGE");
        return ExitCode::from(2);
    };
    match write(
        Path::new(manifest),
        Path::new(descriptions),
        Path::new(ownership),
        Path::new(output),
        Path::new(page),
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nmstate-schema: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(
    manifest: &Path,
    descriptions: &Path,
    ownership: &Path,
    output: &Path,
    page: &Path,
) -> Result<(), String> {
    let (folder, version) = source::locate(manifest)?;
    let source = Source::read(&folder, &version)?;
    let model = collect::collect(&source)?;
    let texts = read(descriptions, Descriptions::read, |d| d.check(&model))?;
    let ownerships = read(ownership, Ownerships::read, |o| o.check(&model))?;
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "nmstate", "version": source.version},
        "paths": {},
        "definitions": openapi::definitions(&model, &texts, &ownerships),
    });
    let json = serde_json::to_string_pretty(&document).map_err(|e| e.to_string())?;
    write_file(output, &(json + "\n"))?;
    write_file(
        page,
        &markdown::reference(&model, &texts, &ownerships, &source.version),
    )
}

/// read reads a file, and checks what it has.
fn read<T>(
    path: &Path,
    parse: fn(&str) -> Result<T, String>,
    check: impl Fn(&T) -> Vec<String>,
) -> Result<T, String> {
    let told = |what: String| format!("{}: {what}", path.display());
    let text = fs::read_to_string(path).map_err(|e| told(e.to_string()))?;
    let value = parse(&text).map_err(told)?;
    let wrong = check(&value);
    if wrong.is_empty() {
        Ok(value)
    } else {
        Err(told(format!("\n  {}", wrong.join("\n  "))))
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
