//! Reads a TOML document into the raw structs of [`super::file`] and goes on after an error, so that all are found in one
//! go (serde stops at the first). [`section`] makes one struct from a list of keys: their names, documentation, types,
//! JSON Schema and reader come from that one list.

use super::{
    error::{Findings, Place},
    values::Name,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::{borrow::Cow, collections::BTreeMap, ops::Deref};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What can be read from a TOML value.
pub(super) trait Read: Sized {
    /// The value, or `None` after at least one finding was added.
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self>;
}

/// A value as written, and where.
pub(super) struct Given<'a> {
    pub(super) place: Place,
    value: &'a DeValue<'a>,
}

impl<'a> Given<'a> {
    /// The whole document.
    pub(super) fn document(table: &'a DeValue<'a>) -> Self {
        Self { place: Place::default(), value: table }
    }

    /// What stands behind `key` of the table at `within`.
    fn entry(within: &Place, key: &'a Spanned<Cow<'a, str>>, value: &'a Spanned<DeValue<'a>>) -> Self {
        let start = if value.get_ref().is_table() { key.span().start } else { value.span().start };
        Self { place: within.child(key.get_ref(), start), value: value.get_ref() }
    }

    /// The table's entries; a finding if it is no table.
    pub(super) fn entries(&self, findings: &mut Findings) -> Option<Vec<(&'a str, Place, Given<'a>)>> {
        let Some(table) = self.value.as_table() else {
            self.wrong_type("a table", "write it as `{ key = value, … }` or as a section of its own", findings);
            return None;
        };
        let entry = |(key, value): (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
            let at_key = self.place.child(key.get_ref(), key.span().start);
            (key.get_ref().as_ref(), at_key, Given::entry(&self.place, key, value))
        };
        Some(DeTable::iter(table).map(entry).collect())
    }

    /// The list's items; `None` (and no finding) if it is no list.
    pub(super) fn items(&self) -> Option<Vec<Given<'a>>> {
        let item = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| Given {
            place: Place { start: item.span().start, key: format!("{}[{index}]", self.place.key) },
            value: item.get_ref(),
        };
        Some(self.value.as_array()?.iter().enumerate().map(item).collect())
    }

    /// The text; `None` (and no finding) if it is none.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// The whole number; `None` (and no finding) if it is none.
    pub(super) fn whole(&self) -> Option<i64> {
        let number = self.value.as_integer()?;
        i64::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// Is it a whole number, however large?
    pub(super) fn is_whole(&self) -> bool {
        self.value.as_integer().is_some()
    }

    /// True or false; `None` (and no finding) if it is neither.
    pub(super) fn truth(&self) -> Option<bool> {
        self.value.as_bool()
    }

    /// Adds "must be `wanted`, not …".
    pub(super) fn wrong_type(&self, wanted: &str, mend: &str, findings: &mut Findings) {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        findings.add(&self.place, format!("must be {wanted}, not {found}"), mend);
    }
}

impl Place {
    pub(super) fn child(&self, key: &str, start: usize) -> Self {
        let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let key = if bare { key.to_owned() } else { format!("{key:?}") };
        let key = if self.key.is_empty() { key } else { format!("{}.{key}", self.key) };
        Self { start, key }
    }
}

/// A value and the place it was found at.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> Deref for Found<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Read> Read for Found<T> {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        Some(Self { value: T::read(given, findings)?, place: given.place.clone() })
    }
}

/// What became of one key. A bad one was reported already and must not be reported again as missing.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Bad,
    Here(Found<T>),
}

impl<T> Field<T> {
    pub(super) fn here(&self) -> Option<&Found<T>> {
        match self {
            Self::Here(found) => Some(found),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Its place, or `other` if it is not there.
    pub(super) fn place_or<'a>(&'a self, other: &'a Place) -> &'a Place {
        self.here().map_or(other, |found| &found.place)
    }
}

impl<T: Clone> Field<T> {
    /// The value, or `default`. A bad one gives the default too: the result is thrown away anyway.
    pub(super) fn or(&self, default: T) -> T {
        self.here().map_or(default, |found| found.value.clone())
    }
}

impl<T: Read> Read for Field<T> {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        Some(Found::read(given, findings).map_or(Self::Bad, Self::Here))
    }
}

/// A list. Bad items are left out, so that the others are still checked against the rest of the file.
impl<T: Read> Read for Vec<Found<T>> {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let Some(items) = given.items() else {
            given.wrong_type("a list", "put it in [ ]", findings);
            return None;
        };
        let read: Self = items.iter().filter_map(|item| Found::read(item, findings)).collect();
        (items.is_empty() || !read.is_empty()).then_some(read)
    }
}

/// Tables by name, as in `[pairs.NAME]`. One with a bad name or body stays, so that nobody is told it were not there.
pub(super) type ByName<T> = BTreeMap<Name, Field<T>>;

impl<T: Read> Read for ByName<T> {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let mut read = Self::new();
        for (key, at_key, value) in given.entries(findings)? {
            Name::check(key, &at_key, findings);
            read.insert(Name(key.into()), Field::read(&value, findings)?);
        }
        Some(read)
    }
}

/// The tables that could be read.
pub(super) fn named<T>(tables: &Field<ByName<T>>) -> impl Iterator<Item = (&str, &Found<T>)> {
    let all = tables.here().into_iter().flat_map(|tables| tables.iter());
    all.filter_map(|(name, table)| Some((&*name.0, table.here()?)))
}

macro_rules! transparent_schema {
    ($type:ident) => {
        impl<T: JsonSchema> JsonSchema for $type<T> {
            fn inline_schema() -> bool {
                T::inline_schema()
            }
            fn schema_name() -> Cow<'static, str> {
                T::schema_name()
            }
            fn schema_id() -> Cow<'static, str> {
                T::schema_id()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                T::json_schema(generator)
            }
        }
    };
}
transparent_schema!(Found);
transparent_schema!(Field);

/// Makes a table's raw struct. `must` keys are required; `later` ones belong to versions to come and are refused by
/// saying so.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident {
        must { $($(#[$mdoc:meta])* $must:ident : $mtype:ty,)* }
        may { $($(#[$odoc:meta])* $may:ident : $otype:ty,)* }
        later { $($later:ident),* }
    }) => {
        $(#[$doc])*
        #[derive(Debug, Default, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub(in crate::config) struct $name {
            $($(#[$mdoc])* pub(in crate::config) $must: $crate::config::read::Field<$mtype>,)*
            $($(#[$odoc])* #[schemars(default)] pub(in crate::config) $may: $crate::config::read::Field<$otype>,)*
        }

        impl $crate::config::read::Read for $name {
            fn read(
                given: &$crate::config::read::Given<'_>,
                findings: &mut $crate::config::error::Findings,
            ) -> Option<Self> {
                let known = [$(stringify!($must),)* $(stringify!($may),)*];
                let later: &[&str] = &[$(stringify!($later)),*];
                let mut section = Self::default();
                for (key, at_key, value) in given.entries(findings)? {
                    match key {
                        $(stringify!($must) => section.$must = $crate::config::read::Read::read(&value, findings)?,)*
                        $(stringify!($may) => section.$may = $crate::config::read::Read::read(&value, findings)?,)*
                        _ => $crate::config::read::unknown_key(key, &at_key, &known, later, findings),
                    }
                }
                $(if section.$must.is_absent() {
                    section.$must = $crate::config::read::Field::Bad;
                    $crate::config::read::missing_key(stringify!($must), &given.place, findings);
                })*
                Some(section)
            }
        }
    };
}
pub(super) use section;

pub(super) fn unknown_key(key: &str, place: &Place, known: &[&str], later: &[&str], findings: &mut Findings) {
    if later.contains(&key) {
        findings.add(place, "this version of failback does not support it", "remove it");
    } else {
        findings.add(place, "unknown key", super::error::suggest(key, known, "keys"));
    }
}

pub(super) fn missing_key(key: &str, within: &Place, findings: &mut Findings) {
    let mend =
        if within.key.is_empty() { format!("add a section `[{key}.NAME]`") } else { format!("add `{key} = …`") };
    findings.add(within, format!("`{key}` is missing"), mend);
}

/// Makes an enum readable from its words, each documented. `later` words are refused by saying so.
macro_rules! words {
    ($type:ty, $name:literal, [$($(#[doc = $doc:literal])+ $word:literal => $value:expr,)+] later [$($later:literal),*]) => {
        impl $crate::config::read::Read for $type {
            fn read(
                given: &$crate::config::read::Given<'_>,
                findings: &mut $crate::config::error::Findings,
            ) -> Option<Self> {
                let all = [$($word),+];
                match given.text() {
                    $(Some($word) => return Some($value),)+
                    Some(other) => $crate::config::read::unknown_word(other, given, &all, &[$($later),*], findings),
                    None => {
                        let mend = format!("write one of: {}", $crate::config::read::quoted(&all));
                        given.wrong_type("a string", &mend, findings);
                    }
                }
                None
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "oneOf": [$({ "const": $word, "description": concat!($($doc),+).trim() }),+]
                })
            }
        }
    };
}
pub(super) use words;

pub(super) fn unknown_word(given: &str, at: &Given<'_>, known: &[&str], later: &[&str], findings: &mut Findings) {
    if later.contains(&given) {
        let reason = format!("this version of failback does not support \"{given}\"");
        return findings.add(&at.place, reason, format!("write one of: {}", quoted(known)));
    }
    let mend = match super::error::nearest(given, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? It is one of: {}", quoted(known)),
        None => format!("write one of: {}", quoted(known)),
    };
    findings.add(&at.place, format!("\"{given}\" is none of the words it can be"), mend);
}

pub(super) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
