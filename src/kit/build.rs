//! From a directory to a component: what is installed, what is run, and what
//! came of it.

use std::fs;
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::component;
use super::language::{Language, LanguageFault};
use super::tools::{self, Tool, command, run, run_apart, succeed};
use crate::policy::{self, Digest};

/// What every build leaves in the directory of its policy.
pub const COMPONENT: &str = "policy.wasm";
/// What a C compiler leaves there first.
const MODULE: &str = "policy.core.wasm";
const TARGET: &str = "wasm32-wasip2";
/// Says which packages an environment of Python was made for, and where: its
/// programs work nowhere else.
const MADE_FOR: &str = ".venv/backstay-build.txt";

/// Why nothing was built, or not put in place.
#[derive(Debug, thiserror::Error)]
pub enum BuildFault {
    #[error(transparent)]
    Directory(#[from] LanguageFault),
    #[error("{0}")]
    Missing(Tool),
    #[error("{file}: {problem}")]
    Manifest { file: &'static str, problem: String },
    #[error("{step} failed:\n{said}")]
    Failed { step: String, said: String },
    #[error("what was built is no component: {0}")]
    Component(String),
    #[error("`{0}` cannot be a policy's name: rename the directory, or say --name")]
    Name(String),
    #[error("there is no directory {} to install into: create it, or name another", .0.display())]
    NoPolicies(PathBuf),
    #[error("{} cannot be written: {}", .0.display(), .1)]
    Unwritable(PathBuf, io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A component that was built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Built {
    pub language: Language,
    pub file: PathBuf,
    pub bytes: u64,
    pub digest: Digest,
    /// As its type has them, in its order.
    pub imports: Vec<String>,
}

impl Built {
    /// The imports that are not of the contract.
    pub fn foreign_imports(&self) -> impl Iterator<Item = &str> {
        let foreign = |name: &&str| !name.starts_with("backstay:policy/");
        self.imports.iter().map(String::as_str).filter(foreign)
    }
}

/// Builds the policy in a directory with the tools of its language. `on_step`
/// is told what is done next, before it is done.
pub fn build(directory: &Path, on_step: &mut dyn FnMut(&str)) -> Result<Built, BuildFault> {
    let language = Language::of(directory)?;
    match language {
        Language::Rust => rust(directory, on_step)?,
        Language::JavaScript => javascript(directory, on_step)?,
        Language::Python => python(directory, on_step)?,
        Language::C => c(directory, on_step)?,
    }
    describe(language, directory.join(COMPONENT))
}

/// What can be said of a component that was built.
pub fn describe(language: Language, file: PathBuf) -> Result<Built, BuildFault> {
    let component = fs::read(&file)?;
    let imports = component::imports(&component).map_err(BuildFault::Component)?;
    let bytes = component.len() as u64;
    Ok(Built { language, file, bytes, digest: Digest::of(&component), imports })
}

/// Puts a component into a directory of policies under this name, whole or not
/// at all: a gateway that watches the directory never sees half of it.
pub fn install(built: &Built, name: &str, policies: &Path) -> Result<PathBuf, BuildFault> {
    if !policy::is_name(name) || name.starts_with('.') {
        return Err(BuildFault::Name(name.to_owned()));
    }
    if !policies.is_dir() {
        return Err(BuildFault::NoPolicies(policies.to_owned()));
    }
    let component = fs::read(&built.file)?;
    let installed = policies.join(format!("{name}.wasm"));
    match replace(&installed, policies, &component) {
        Ok(()) => Ok(installed),
        Err(error) => Err(BuildFault::Unwritable(installed, error)),
    }
}

fn replace(installed: &Path, policies: &Path, component: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(policies)?;
    file.write_all(component)?;
    // The gateway may run as another user; a component is no secret.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(installed).map_err(|error| error.error)?;
    Ok(())
}

fn rust(directory: &Path, on_step: &mut dyn FnMut(&str)) -> Result<(), BuildFault> {
    on_step("compiling with cargo");
    let mut cargo = command(tools::CARGO.program, directory);
    cargo
        .args(["build", "--lib", "--release", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics");
    let mut ran = run_apart(&mut cargo, tools::CARGO)?;
    if !ran.success {
        let said = ran.said();
        let no_target = said.contains("can't find crate for `core`")
            || said.contains("target may not be installed");
        if no_target {
            return Err(BuildFault::Missing(tools::RUST_TARGET));
        }
        return Err(BuildFault::Failed { step: "cargo build".to_owned(), said });
    }
    let artefact = last_component(BufReader::new(ran.stdout()?))?.ok_or_else(|| {
        let problem = "builds no component: it needs `[lib]` with `crate-type = [\"cdylib\"]`";
        BuildFault::Manifest { file: "Cargo.toml", problem: problem.to_owned() }
    })?;
    fs::copy(artefact, directory.join(COMPONENT))?;
    Ok(())
}

/// The file that cargo's messages name last: what it depends on comes first.
fn last_component(messages: impl io::BufRead) -> io::Result<Option<PathBuf>> {
    let mut last = None;
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        let files = message["filenames"].as_array().into_iter().flatten();
        let mut files = files.filter_map(Value::as_str).map(PathBuf::from);
        last = files.rfind(|file| file.extension().is_some_and(|it| it == "wasm")).or(last);
    }
    Ok(last)
}

fn javascript(directory: &Path, on_step: &mut dyn FnMut(&str)) -> Result<(), BuildFault> {
    succeed(command(tools::NODE.program, directory).arg("--version"), tools::NODE, "node")?;
    let source = Language::JavaScript.source();
    if directory.join(source).exists() {
        // componentize-js says of a mistake neither what it is nor where.
        let mut node = command(tools::NODE.program, directory);
        succeed(node.args(["--check", source]), tools::NODE, &format!("node --check {source}"))?;
    }
    if !directory.join("node_modules/.bin/componentize-js").exists() {
        on_step("installing componentize-js (once: some 400 MB in node_modules)");
        let locked = directory.join("package-lock.json").exists();
        let mut npm = command(tools::NPM.program, directory);
        npm.arg(if locked { "ci" } else { "install" });
        npm.args(["--ignore-scripts", "--no-audit", "--no-fund"]);
        succeed(&mut npm, tools::NPM, "installing packages with npm")?;
    }
    on_step("componentizing policy.js (half a minute: it brings a JavaScript engine)");
    let mut npm = command(tools::NPM.program, directory);
    succeed(npm.args(["run", "build"]), tools::NPM, "npm run build")
}

fn python(directory: &Path, on_step: &mut dyn FnMut(&str)) -> Result<(), BuildFault> {
    let packages = build_packages(directory)?;
    if !is_made(directory, &packages) {
        on_step(&format!("installing {} (once: 70 MB in .venv)", packages.join(", ")));
        let mut venv = command(tools::PYTHON.program, directory);
        let made = run(venv.args(["-m", "venv", "--clear", ".venv"]), tools::PYTHON)?;
        if !made.success {
            return Err(BuildFault::Missing(tools::PYTHON));
        }
        let mut pip = command(directory.join(".venv/bin/python").canonical(), directory);
        pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
        succeed(pip.args(&packages), tools::PYTHON, "installing packages with pip")?;
        fs::write(directory.join(MADE_FOR), made_for(directory, &packages)?)?;
    }
    on_step("componentizing policy.py (half a minute: it brings Python)");
    let mut componentize =
        command(directory.join(".venv/bin/componentize-py").canonical(), directory);
    componentize
        .args(["--quiet", "--wit-path", "wit", "--world", "policy", "componentize"])
        .args(["--stub-wasi", "policy", "--output", COMPONENT]);
    succeed(&mut componentize, tools::PYTHON, "componentize-py")
}

/// What the marker of an environment says.
fn made_for(directory: &Path, packages: &[String]) -> io::Result<String> {
    // It may be a link to one that others use too.
    let home = directory.join(".venv").canonicalize()?;
    Ok(format!("{}\n{}\n", packages.join("\n"), home.display()))
}

/// Whether the environment is there, of these packages, and lies where it was
/// made, with the Python it was made of.
fn is_made(directory: &Path, packages: &[String]) -> bool {
    let says = fs::read_to_string(directory.join(MADE_FOR)).ok();
    let programs = [".venv/bin/python", ".venv/bin/componentize-py"];
    says.is_some()
        && says == made_for(directory, packages).ok()
        && programs.iter().all(|program| directory.join(program).exists())
}

/// A program is looked for from where this process is, not from the directory
/// it is to run in.
trait Canonical {
    fn canonical(&self) -> PathBuf;
}

impl Canonical for PathBuf {
    fn canonical(&self) -> PathBuf {
        std::path::absolute(self).unwrap_or_else(|_| self.clone())
    }
}

/// The packages of the manifest's dependency group `build`.
fn build_packages(directory: &Path) -> Result<Vec<String>, BuildFault> {
    let file = Language::Python.manifest();
    let fault = |problem: String| BuildFault::Manifest { file, problem };
    let text = fs::read_to_string(directory.join(file))?;
    let manifest: toml::Table = text.parse().map_err(|error| fault(format!("{error}")))?;
    let group = manifest.get("dependency-groups").and_then(|groups| groups.get("build"));
    let packages: Vec<String> = group
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|package| package.as_str().map(str::to_owned))
        .collect();
    if packages.is_empty() {
        let remedy = "says no packages to build with: add `[dependency-groups]` with `build = \
                      [\"componentize-py==0.25.0\"]`";
        return Err(fault(remedy.to_owned()));
    }
    Ok(packages)
}

fn c(directory: &Path, on_step: &mut dyn FnMut(&str)) -> Result<(), BuildFault> {
    check_c_compiler(directory)?;
    on_step("compiling with clang");
    let mut make = command(tools::MAKE.program, directory);
    succeed(make.args(["--silent", MODULE]), tools::MAKE, "make")?;
    let module = fs::read(directory.join(MODULE))?;
    let component = component::of_module(module, &directory.join("wit"));
    fs::write(directory.join(COMPONENT), component.map_err(BuildFault::Component)?)?;
    Ok(())
}

/// Says which of the tools is missing: what make prints does not.
fn check_c_compiler(directory: &Path) -> Result<(), BuildFault> {
    if std::env::var_os("CLANG").is_some() {
        return Ok(());
    }
    let clang = tools::CLANG;
    let mut targets = run(command(clang.program, directory).arg("--print-targets"), clang)?;
    if !targets.said().contains("wasm32") {
        return Err(BuildFault::Missing(clang));
    }
    let linker = tools::WASM_LD;
    succeed(command(linker.program, directory).arg("--version"), linker, "wasm-ld")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_that_was_moved_is_made_again() {
        let scratch = tempfile::tempdir().expect("there is room for temporary files");
        let packages = ["componentize-py==1".to_owned()];
        let (here, there) = (scratch.path().join("here"), scratch.path().join("there"));
        fs::create_dir_all(here.join(".venv/bin")).expect("it is ours");
        for program in ["python", "componentize-py"] {
            fs::write(here.join(".venv/bin").join(program), "").expect("it is ours");
        }
        assert!(!is_made(&here, &packages), "nothing says what it was made for");
        let says = made_for(&here, &packages).expect("it is there");
        fs::write(here.join(MADE_FOR), says).expect("it is ours");
        assert!(is_made(&here, &packages));
        assert!(!is_made(&here, &["componentize-py==2".to_owned()]));
        fs::rename(&here, &there).expect("it is ours");
        assert!(!is_made(&there, &packages));
        // Another directory may share it by a link.
        fs::rename(&there, &here).expect("it is ours");
        fs::create_dir(&there).expect("it is ours");
        std::os::unix::fs::symlink(here.join(".venv"), there.join(".venv")).expect("it is ours");
        assert!(is_made(&there, &packages));
        fs::remove_file(here.join(".venv/bin/python")).expect("it is ours");
        assert!(!is_made(&here, &packages), "the Python it was made of is gone");
    }
}
