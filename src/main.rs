//! The program: which command, and how it ended.

use clap::{CommandFactory, Parser, Subcommand};
use failback::{
    app,
    certs::{self, CertsCommand},
    cli::{self, LogFormatArg, NodeArgs, RunArgs},
    control::address::guard,
    demo::{self, DemoArgs},
    model::group::InterfaceAddress,
    observe::log::{self, LogFormat},
};
use ipnet::IpNet;
use std::process::ExitCode;

/// A Layer-4 TCP proxy for pairs of stateful servers: fails over in a blink, comes back only when the primary's data is
/// resynchronised.
#[derive(Debug, Parser)]
#[command(name = "failback", version, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until it is told to stop
    Run(RunArgs),
    #[command(flatten)]
    Client(cli::Command),
    /// Make certificates to try with, or show what one is worth
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Watch a failover and a gated failback, on real processes, with nothing to configure
    Demo(DemoArgs),
    /// Started by a node that holds a shared address; removes it when that node is gone
    #[command(hide = true)]
    Guard {
        /// The address and its prefix
        address: IpNet,
        /// Where it is
        interface: String,
    },
}

fn main() -> ExitCode {
    let Arguments { node, command } = Arguments::parse();
    let ended = match command {
        Command::Run(args) => run(&args).map(|()| ExitCode::SUCCESS),
        Command::Client(command) => {
            cli::execute(command, &node, Arguments::command(), app::check_files).map(|()| ExitCode::SUCCESS)
        }
        Command::Certs(command) => certs::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::run(args),
        Command::Guard { address, interface } => guard::stand(&InterfaceAddress { address, interface })
            .map(|()| ExitCode::SUCCESS)
            .map_err(anyhow::Error::from),
    };
    ended.unwrap_or_else(|error| cli::exit_code(&error))
}

fn run(args: &RunArgs) -> anyhow::Result<()> {
    log::init(match args.log_format {
        LogFormatArg::Text => LogFormat::Text,
        LogFormatArg::Json => LogFormat::Json,
    })?;
    app::run(&args.config.path()?)
}
