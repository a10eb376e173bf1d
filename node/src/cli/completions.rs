//! `ocelli completions`: the completion script of a shell.
//!
//! Does: generate it from the very definition of the command line. Does not: install it.
//! In: a shell. Out: its script on stdout.

use clap_complete::Shell;

use super::exit::{Exit, Failure};
use super::output::Streams;

const EXAMPLES: &str = "\
Examples:
  ocelli completions bash > /etc/bash_completion.d/ocelli
  ocelli completions zsh > ~/.zfunc/_ocelli
  ocelli completions fish > ~/.config/fish/completions/ocelli.fish";

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(
    args: &CompletionsArgs,
    mut command: clap::Command,
    streams: &mut Streams,
) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ocelli", &mut script);
    streams.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
