//! `backstay init`: a commented configuration to start from.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;

use super::{ConfigFile, complain, say};
use crate::config;

#[derive(Debug, clap::Args)]
pub struct Init {
    #[command(flatten)]
    file: ConfigFile,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
}

pub fn run(init: &Init) -> ExitCode {
    let path = &init.file.config;
    let mut options = OpenOptions::new();
    options.write(true);
    if init.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written =
        options.open(path).and_then(|mut file| file.write_all(config::EXAMPLE.as_bytes()));
    match written {
        Ok(()) => {
            let path = path.display();
            say(&format!(
                "wrote {path}: set the keys it names, then run: backstay check --config {path}"
            ));
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            complain(&format!("{} is there already; --force replaces it", path.display()));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("cannot write {}: {error}", path.display()));
            ExitCode::FAILURE
        }
    }
}
