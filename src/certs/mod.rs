//! `failback certs`: a development authority and its certificates, and what a certificate is worth to a pair.

mod inspect;
mod make;

use crate::cli::ConfigArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `failback certs`.
#[derive(Debug, Clone, Subcommand)]
pub enum CertsCommand {
    /// Make a development authority, a certificate that both servers of a pair can show, and one for a client
    Make(MakeArgs),
    /// Show what a certificate carries, and whether a pair would accept it
    Inspect(InspectArgs),
}

/// `failback certs make`.
#[derive(Debug, Clone, Args)]
pub struct MakeArgs {
    /// The pair's name, which the servers' certificate carries
    #[arg(default_value = "AGG_V")]
    pair: String,
    /// Where the files go; what is there already is kept
    #[arg(long, value_name = "FOLDER", default_value = "certs")]
    dir: PathBuf,
    /// One more name or IP address for the servers' certificate; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Put the pair's name into the Common Name alone, as legacy tools do
    #[arg(long, conflicts_with = "names")]
    common_name_only: bool,
    /// The Common Name of the client's certificate
    #[arg(long, value_name = "NAME", default_value = "client")]
    client: String,
    /// How long they are valid
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
}

/// `failback certs inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// A PEM file, or HOST:PORT of a server that speaks TLS
    what: String,
    /// Say whether this pair of the configuration would accept it
    #[arg(long)]
    pair: Option<String>,
    /// Which configuration file.
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries out `command`.
///
/// # Errors
/// Whatever went wrong, in words; a certificate that the pair would not accept, too.
pub fn run(command: &CertsCommand) -> anyhow::Result<()> {
    match command {
        CertsCommand::Make(args) => make::make(args),
        CertsCommand::Inspect(args) => inspect::inspect(args),
    }
}
