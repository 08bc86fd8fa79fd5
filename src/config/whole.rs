//! Whole numbers within bounds.

use super::{
    error::Findings,
    read::{Given, Read},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// A whole number between two others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<const LEAST: u32, const MOST: u32>(pub(super) u32);

impl<const LEAST: u32, const MOST: u32> Read for Whole<LEAST, MOST> {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let mend = format!("write a whole number between {LEAST} and {MOST}");
        let Some(number) = given.whole() else {
            match given.is_whole() {
                true => findings.add(&given.place, "it is out of all bounds", mend),
                false => given.wrong_type("a whole number", &mend, findings),
            }
            return None;
        };
        let fits = u32::try_from(number).ok().filter(|n| (LEAST..=MOST).contains(n));
        if fits.is_none() {
            findings.add(&given.place, format!("{number} is too {}", if number < 1 { "small" } else { "large" }), mend);
        }
        fits.map(Self)
    }
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Whole<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Whole{LEAST}To{MOST}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}
