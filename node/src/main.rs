//! The `ocelli` binary: hands its arguments to the command line and returns its exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ocelli_node::cli::main(std::env::args_os()).into()
}
