//! The command line: flags in, the facade's calls, lines and exit codes out.
//!
//! What lives here: flags, printing, progress. What does not: anything that the facade could do for a server as well.
//! stdout is data, stderr is talk. Exit codes: 0 all done; 1 some inputs failed, the rest done, or a training
//! stopped on its way; 2 nothing started.

mod commands;
mod flags;
mod talk;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use flags::{Cli, Command};

/// How a command that started has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything was done.
    Done,
    /// Some inputs failed; each has been named.
    SomeFailed,
    /// Nothing can start; the reasons have been named.
    NothingStarted,
    /// The user asked to stop.
    Interrupted,
}

/// Parses the process's arguments, runs the command, and says how it went.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Upscale(flags) => commands::upscale::run(&flags),
        Command::Downscale(flags) => commands::downscale::run(&flags),
        Command::Eval(flags) => commands::eval::run(&flags),
        Command::Degrade(flags) => commands::degrade::run(&flags),
        Command::Check(flags) => commands::check::run(&flags),
        Command::Train(flags) => commands::train::run(&flags),
        Command::Inspect(flags) => commands::models::inspect(&flags),
        Command::Convert(flags) => commands::models::convert(&flags),
        Command::Interpolate(flags) => commands::models::interpolate(&flags),
        Command::Models(flags) => commands::models::list(&flags),
        Command::Bench(flags) => commands::bench::run(&flags),
        Command::Devices(flags) => commands::devices::run(&flags),
        Command::DocsMarkdown => commands::docs::run(),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed) => ExitCode::from(1),
        Ok(Outcome::NothingStarted) => ExitCode::from(2),
        // As shells report a process that SIGINT ended.
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) => {
            talk::error(&error);
            ExitCode::from(2)
        }
    }
}

/// The command line's definition, for help, completions and the generated documentation.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_consistent_and_every_flag_has_help() {
        let mut command = super::command().help_expected(true);
        command.build();
        command.debug_assert();
    }
}
