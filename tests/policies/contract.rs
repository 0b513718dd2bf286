//! Each directory has a copy of the contract, so that it can be taken away; the
//! ones in C have its bindings as well, and a C library. All must be the same.

use std::fs;
use std::path::Path;

use backstay::kit::Language;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

use crate::workshop::{files, projects};

const CONTRACT: &str = "wit/failover-policy.wit";
/// Set, the copies are written instead of compared.
const BLESS: &str = "BACKSTAY_BLESS";

/// Compares a file with what it must hold, or writes it.
fn check(file: &Path, expected: &[u8]) {
    if std::env::var_os(BLESS).is_some() {
        fs::write(file, expected).expect("the checkout can be written to");
    }
    let found = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(found == expected, "{} differs: write it with {BLESS}=1 cargo test", file.display());
}

#[test]
fn every_directory_has_the_contract_as_it_is() {
    let contract = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(CONTRACT));
    let contract = contract.expect("the checkout is complete");
    for project in projects() {
        check(&project.directory.join(CONTRACT), &contract);
    }
}

#[test]
fn the_contract_in_c_is_what_wit_bindgen_makes_of_it() {
    for project in projects().iter().filter(|project| project.language == Language::C) {
        let generated = bindings();
        assert_eq!(generated.iter().count(), 2);
        for (name, contents) in generated.iter() {
            check(&project.directory.join("contract").join(name), contents);
        }
    }
}

fn bindings() -> Files {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit");
    let (package, _) = resolve.push_path(wit).expect("the contract parses");
    let world = resolve.select_world(&[package], Some("policy")).expect("it has a world");
    let rename = |(interface, to): (&str, &str)| {
        (format!("backstay:policy/{interface}@0.1.0"), to.to_owned())
    };
    let short = [
        ("types", "backstay"),
        ("exchange", "exchange"),
        ("host", "host"),
        ("failover-policy", "failover"),
    ];
    let options = wit_bindgen_c::Opts {
        no_object_file: true,
        autodrop_borrows: wit_bindgen_c::Enabled::Yes,
        rename: short.map(rename).to_vec(),
        ..wit_bindgen_c::Opts::default()
    };
    let mut files = Files::default();
    let generated = options.build().generate(&mut resolve, world, &mut files);
    generated.expect("the contract can be said in C");
    files
}

#[test]
fn what_the_directories_of_a_language_share_is_the_same() {
    const SHARED: [&str; 8] = [
        ".gitignore",
        "Makefile",
        "json.h",
        "libc/libc.c",
        "libc/stdlib.h",
        "libc/string.h",
        "contract/policy.c",
        "contract/policy.h",
    ];
    for project in projects().iter().filter(|project| !project.is_template) {
        let same = |p: &&crate::workshop::Project| p.is_template && p.language == project.language;
        let template = projects().iter().find(same).expect("every language has a template");
        let (own, of_template) = (files(&project.directory), files(&template.directory));
        for path in SHARED {
            if let Some(expected) = of_template.get(Path::new(path)) {
                assert_eq!(own.get(Path::new(path)), Some(expected), "{} {path}", project.name);
            }
        }
        let pinned = pins(&template.directory);
        assert_eq!(pins(&project.directory), pinned, "{}", project.name);
        // C has no packages.
        assert_eq!(pinned.is_empty(), project.language == Language::C, "{}", project.name);
    }
}

/// What a manifest says of its packages: versions, one way or another.
fn pins(directory: &Path) -> Vec<String> {
    let manifest = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let locks = ["package-lock.json", "pyproject.toml", "Cargo.lock"].map(manifest).concat();
    let pinned = |line: &&str| ["integrity", "==", "checksum"].iter().any(|of| line.contains(of));
    locks.lines().filter(pinned).map(str::to_owned).collect()
}

/// A user's directory with the template's own file in it is what `new` writes.
#[test]
fn a_policy_that_was_started_is_the_template_under_its_name() {
    for (language, lang) in Language::ALL.iter().zip(["rust", "javascript", "python", "c"]) {
        let parent = tempfile::tempdir().expect("there is room for temporary files");
        let name = "my-policy";
        let made = backstay::kit::create(name, *language, parent.path());
        let made = made.unwrap_or_else(|fault| panic!("{fault}"));
        let template = projects().iter().find(|p| p.name == format!("template-{lang}"));
        let template = template.unwrap_or_else(|| panic!("no template for {lang}"));
        assert_eq!(files(&made), files(&template.directory), "{lang}");
    }
}
