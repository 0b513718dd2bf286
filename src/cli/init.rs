//! `backstay init`: a commented configuration to start from, or one made from
//! the keys in the environment.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;

use super::{ConfigFile, MISUSED, complain, environment, ollama, quoted, say};
use crate::config::{self, NoSetUp};

#[derive(Debug, clap::Args)]
pub struct Init {
    #[command(flatten)]
    file: ConfigFile,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// Write what `serve` sets up when there is no file: the providers whose
    /// keys are in the environment, and a route for each of their models.
    #[arg(long)]
    from_environment: bool,
}

pub fn run(init: &Init) -> ExitCode {
    let text = match text(init) {
        Ok(text) => text,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(MISUSED);
        }
    };
    let path = &init.file.config;
    let mut options = OpenOptions::new();
    options.write(true);
    if init.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => {
            let (path, quoted) = (path.display(), quoted(path));
            let keys = if init.from_environment { "" } else { "set the keys it names, then " };
            say(&format!("wrote {path}: {keys}run: backstay check --config {quoted}"));
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

/// What is to be written. A set-up that could not be used is not.
fn text(init: &Init) -> Result<String, NoSetUp> {
    if !init.from_environment {
        return Ok(config::EXAMPLE.to_owned());
    }
    let (_, set_up) = config::from_environment(&environment, ollama::find().as_ref())?;
    say(&set_up);
    Ok(set_up.text)
}
