//! The sg-ai command. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sg_ai::cli::main(std::env::args_os())
}
