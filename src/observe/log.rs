//! The log: to stderr, for people on a terminal, or as JSON lines for collectors.
//!
//! `FAILBACK_LOG` (else `RUST_LOG`) filters it, as in `FAILBACK_LOG=warn,failback::control=debug`; default `info`.

use std::{
    fmt::{self, Write},
    io::{IsTerminal, stderr},
};
use tracing::{Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt,
    fmt::{
        MakeWriter,
        format::{Writer, debug_fn},
    },
};

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people, coloured on a terminal.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter can't be understood.
    #[error("the log filter {variable}={value:?} can't be understood")]
    BadFilter {
        /// The environment variable it comes from.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody set up a log before.
    #[error("the log is set up already")]
    Again,
}

/// Sets up the log for the whole process.
///
/// # Errors
/// If the filter in the environment can't be understood, or the log is set up already.
pub fn init(format: LogFormat) -> Result<(), LogError> {
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let again = |_| LogError::Again;
    match format {
        LogFormat::Text => tracing::subscriber::set_global_default(text(filter()?, colour, stderr)).map_err(again),
        LogFormat::Json => tracing::subscriber::set_global_default(json(filter()?, stderr)).map_err(again),
    }
}

fn filter() -> Result<EnvFilter, LogError> {
    for variable in ["FAILBACK_LOG", "RUST_LOG"] {
        if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
            return value.parse().map_err(|source| LogError::BadFilter { variable, value, source });
        }
    }
    Ok(EnvFilter::new("info"))
}

fn text<W>(filter: EnvFilter, colour: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = debug_fn(|to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        if field.name() != "message" {
            write!(to, "{}=", field.name())?;
        }
        write!(OneLine(to), "{value:?}")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(writer)
        .fmt_fields(fields.delimited(" "))
        .finish()
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).json().flatten_event(true).finish()
}

/// Escapes what could end the line or move the cursor: names and answers come from others, and a log line must be one.
struct OneLine<'a, 'w>(&'a mut Writer<'w>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if crate::model::plain::is_unsafe(c) {
                write!(self.0, "{}", c.escape_unicode())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_name_cannot_forge_a_second_line() {
        let seen = Captured::default();
        let writer = seen.clone();
        let log = text(EnvFilter::new("info"), false, move || writer.clone());
        tracing::subscriber::with_default(log, || {
            let evil = "AGG_P\n2026-01-01 INFO all is well\u{1b}[2J\u{202e}";
            tracing::info!(upstream = %evil, "is down: {evil}");
        });
        let text = seen.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r"upstream=AGG_P\u{a}2026-01-01"), "{text}");
        assert!(text.contains(r"is down: AGG_P\u{a}") && !text.contains('\u{1b}') && !text.contains('\u{202e}'));
    }

    #[test]
    fn json_lines_are_objects_with_the_fields_on_top() {
        let seen = Captured::default();
        let writer = seen.clone();
        let log = json(EnvFilter::new("info"), move || writer.clone());
        tracing::subscriber::with_default(log, || tracing::warn!(pair = "AGG_V", "two\nlines"));
        let line: serde_json::Value = serde_json::from_str(seen.text().trim()).unwrap();
        assert_eq!(
            (&line["level"], &line["pair"], &line["message"]),
            (&"WARN".into(), &"AGG_V".into(), &"two\nlines".into())
        );
    }
}
