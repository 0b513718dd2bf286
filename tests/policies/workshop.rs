//! Builds what lies under `policies/templates` and `policies/examples`, each
//! out of a copy of its own under `target/`, as somebody would who took it
//! away. What was built of the same files before is taken again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use backstay::kit::{self, Built, Language};
use sha2::{Digest as _, Sha256};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A directory that somebody may start from.
#[derive(Clone, Debug)]
pub struct Project {
    /// As its policy is called in the tests.
    pub name: String,
    pub directory: PathBuf,
    pub language: Language,
    pub is_template: bool,
}

/// All there are, templates first: where the others find the packages that the
/// template of their language had installed.
pub fn projects() -> &'static [Project] {
    static PROJECTS: OnceLock<Vec<Project>> = OnceLock::new();
    PROJECTS.get_or_init(|| {
        let templates = listed("policies/templates").into_iter().map(|d| project(d, true));
        let examples = listed("policies/examples").into_iter().map(|d| project(d, false));
        templates.chain(examples).collect()
    })
}

fn listed(under: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join(under)).expect("the checkout is complete");
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the checkout can be read").path()).collect();
    found.sort();
    found
}

fn project(directory: PathBuf, is_template: bool) -> Project {
    let own = directory.file_name().expect("it is in a directory").to_string_lossy();
    let name = if is_template { format!("template-{own}") } else { own.into_owned() };
    let language = Language::of(&directory).unwrap_or_else(|fault| panic!("{fault}"));
    Project { name, directory, language, is_template }
}

/// A directory of policies with all of them in it.
pub fn all() -> PathBuf {
    let directory = scratch("installed");
    for (name, built) in built() {
        kit::install(built, name, &directory).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
    directory
}

/// Every policy that was built, by name. One that cannot be is reported by its
/// name, with what is missing.
pub fn built() -> &'static BTreeMap<String, Built> {
    static BUILT: OnceLock<BTreeMap<String, Built>> = OnceLock::new();
    BUILT.get_or_init(|| {
        install_c_compiler();
        let built = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for language in Language::ALL {
                let built = &built;
                scope.spawn(move || {
                    for project in projects().iter().filter(|p| p.language == language) {
                        let component = build(project);
                        let mut built = built.lock().unwrap_or_else(PoisonError::into_inner);
                        built.insert(project.name.clone(), component);
                    }
                });
            }
        });
        built.into_inner().unwrap_or_else(PoisonError::into_inner)
    })
}

/// The sources of all examples, to be searched.
pub fn sources() -> String {
    let source = |project: &Project| project.directory.join(project.language.source());
    let examples = projects().iter().filter(|project| !project.is_template);
    examples.map(|p| fs::read_to_string(source(p)).expect("it has a source")).collect()
}

/// A directory of this name, made once per checkout.
pub fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policies").join(name);
    fs::create_dir_all(&directory).expect("cargo makes a directory for tests");
    directory
}

#[expect(clippy::print_stderr, reason = "minutes pass: who looks is told what happens")]
fn build(project: &Project) -> Built {
    let name = format!("{}-{}", project.name, digest(project));
    let copy = scratch("copies").join(&name);
    let component = copy.join("policy.wasm");
    if !copy.join("complete").exists() {
        let _incomplete = fs::remove_dir_all(&copy);
        copy_tree(&project.directory, &copy);
        share_packages(project.language, &copy);
        let built = kit::build(&copy, &mut |step| eprintln!("{}: {step}", project.name));
        let built = built.unwrap_or_else(|fault| {
            panic!("{} cannot be built ({}): {fault}", project.name, project.language.label())
        });
        assert_eq!(built.file, component);
        fs::write(copy.join("complete"), "").expect("the copy was just made");
    }
    let described = kit::describe(project.language, component);
    described.unwrap_or_else(|fault| panic!("{}: {fault}", project.name))
}

/// Of all files of a project that are not ignored.
fn digest(project: &Project) -> String {
    let mut hash = Sha256::new();
    for (path, contents) in files(&project.directory) {
        hash.update(path.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update(contents);
    }
    let digest = hash.finalize();
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

/// The files of a project by their paths in it, without what building leaves.
pub fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn visit(root: &Path, directory: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        const LEFT_BY_BUILDS: [&str; 5] =
            ["target", "node_modules", ".venv", "types", "__pycache__"];
        for entry in fs::read_dir(directory).expect("a project can be read") {
            let path = entry.expect("a project can be read").path();
            let name = path.file_name().expect("it has a name").to_string_lossy();
            let left = LEFT_BY_BUILDS.contains(&&*name) || name.ends_with(".wasm");
            if left {
                continue;
            }
            if path.is_dir() {
                visit(root, &path, found);
            } else {
                let contents = fs::read(&path).expect("a project can be read");
                let path = path.strip_prefix(root).expect("it is within");
                found.insert(path.to_owned(), contents);
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(directory, directory, &mut found);
    found
}

fn copy_tree(from: &Path, to: &Path) {
    for (path, contents) in files(from) {
        let file = to.join(path);
        let directory = file.parent().expect("it is within");
        fs::create_dir_all(directory).expect("there is room under target");
        fs::write(file, contents).expect("there is room under target");
    }
}

/// What is the same for all projects of a language is installed and compiled
/// once: hundreds of megabytes, and a minute.
fn share_packages(language: Language, copy: &Path) {
    let link = |name: &str| {
        let template = projects().iter().find(|p| p.language == language && p.is_template);
        let template = template.expect("there is a template for every language");
        let home = format!("{}-{}", template.name, digest(template));
        let packages = scratch("copies").join(home).join(name);
        if packages.exists() {
            std::os::unix::fs::symlink(packages, copy.join(name)).expect("the copy was just made");
        }
    };
    match language {
        Language::Rust => {
            let directory = scratch("copies").join(".cargo");
            fs::create_dir_all(&directory).expect("there is room under target");
            let shared = scratch("cargo");
            let config = format!("[build]\ntarget-dir = \"{}\"\n", shared.display());
            fs::write(directory.join("config.toml"), config).expect("there is room under target");
        }
        Language::JavaScript => link("node_modules"),
        Language::Python => link(".venv"),
        Language::C => {}
    }
}

/// clang and lld come from the system's package manager: who may is to have
/// them installed; everybody else is told what to install.
#[expect(clippy::print_stderr, reason = "a machine is changed: that is told")]
fn install_c_compiler() {
    let found = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if ["clang", "wasm-ld", "make"].into_iter().all(found) || !found("apt-get") {
        return;
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !is_root {
        return;
    }
    for arguments in [
        ["update", "--quiet", "--quiet"].as_slice(),
        &["install", "--yes", "--quiet", "--no-install-recommends", "clang", "lld", "make"],
    ] {
        let said = Command::new("apt-get").args(arguments).output();
        // Whether it helped, the build says by name.
        eprintln!("apt-get {}: {:?}", arguments[0], said.map(|said| said.status));
    }
}
