// SPDX-License-Identifier: Apache-2.0

//! Writes the OpenAPI definitions of a network state, and a page of its fields: nmstate-schema MANIFEST DESCRIPTIONS OUTPUT PAGE
//!
//! MANIFEST is the Cargo.toml whose lock file pins the crate nmstate. The crate is read, never built.

mod attributes;
mod collect;
mod descriptions;
mod kinds;
mod markdown;
mod model;
mod openapi;
mod source;
#[cfg(test)]
mod tests;
mod union;

use std::{env, fs, path::Path, process::ExitCode};

use descriptions::Descriptions;
use serde_json::json;
use source::Source;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [manifest, descriptions, output, page] = arguments.as_slice() else {
        eprintln!("usage: nmstate-schema MANIFEST DESCRIPTIONS OUTPUT PAGE");
        return ExitCode::from(2);
    };
    match write(
        Path::new(manifest),
        Path::new(descriptions),
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

fn write(manifest: &Path, descriptions: &Path, output: &Path, page: &Path) -> Result<(), String> {
    let (folder, version) = source::locate(manifest)?;
    let source = Source::read(&folder, &version)?;
    let model = collect::collect(&source)?;
    let text =
        fs::read_to_string(descriptions).map_err(|e| format!("{}: {e}", descriptions.display()))?;
    let texts =
        Descriptions::read(&text).map_err(|e| format!("{}: {e}", descriptions.display()))?;
    let wrong = texts.check(&model);
    if !wrong.is_empty() {
        return Err(format!(
            "{}:\n  {}",
            descriptions.display(),
            wrong.join("\n  ")
        ));
    }
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "nmstate", "version": source.version},
        "paths": {},
        "definitions": openapi::definitions(&model, &texts),
    });
    let json = serde_json::to_string_pretty(&document).map_err(|e| e.to_string())?;
    write_file(output, &(json + "\n"))?;
    write_file(page, &markdown::reference(&model, &texts, &source.version))
}

fn write_file(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
