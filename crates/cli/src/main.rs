//! The `esrgan` command: parse, run, print, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    esrgan_cli::main()
}
