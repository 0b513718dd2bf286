//! The process edge: parse the arguments, run the verb, exit with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    backstay::cli::main()
}
