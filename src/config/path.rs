//! Paths of files and folders, as they are written.

use super::{
    error::Findings,
    read::{Given, Read},
    values::schema,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// A file's or folder's path. What stands in its place, such as a key written out, is never shown.
#[derive(Debug, Clone)]
pub(super) struct FilePath(pub(super) String);

impl Read for FilePath {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        let fits = !text.chars().any(char::is_control) && !text.contains("-----BEGIN");
        if !fits {
            let mend = "put what it holds into a file, and write that file's path here";
            findings.add(&given.place, "no path has a control character or a PEM header in it", mend);
        }
        fits.then_some(Self(text))
    }
}

schema!(FilePath, "FilePath", json_schema!({ "type": "string" }));
