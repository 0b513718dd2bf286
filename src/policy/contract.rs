//! Which version of the contract a component was built for, as the names of its
//! imports and exports say, and whether this gateway speaks it. Knows names
//! only: whether the types fit, the linker sees.

use semver::Version;

use super::bindings;
use super::sandbox::clean;

/// Names beyond this are cut in messages and lists.
const NAME_BYTES_MAX: usize = 128;
/// Further names are left out of messages.
const NAMES_SHOWN: usize = 8;
/// The interfaces of the contract that can be imported.
const IMPORTABLE: [&str; 3] = ["types", "exchange", "host"];
const EXPORTED: &str = "failover-policy";

/// Why a component does not speak the contract, with the remedy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ContractFault {
    #[error(
        "this policy is built for contract {theirs} (`{name}`); this gateway speaks {ours}: \
         rebuild it with wit/failover-policy.wit of this gateway, or run a gateway of contract \
         {theirs}"
    )]
    Version { name: String, theirs: Version, ours: Version },
    #[error(
        "`{name}` names no version of the contract; this gateway speaks {ours}: rebuild it with \
         wit/failover-policy.wit of this gateway"
    )]
    Unversioned { name: String, ours: Version },
    #[error(
        "it does not export `{export}`, so it is no policy{found}: build it for the world `policy` of \
         wit/failover-policy.wit of this gateway (contract {ours})",
        export = bindings::EXPORT
    )]
    NoPolicy { found: String, ours: Version },
    #[error(
        "it imports `{name}` of contract {theirs}, which this gateway's {ours} does not have: run \
         a gateway of contract {theirs}, or rebuild it with wit/failover-policy.wit of this gateway"
    )]
    Interface { name: String, theirs: Version, ours: Version },
}

/// The version that this gateway speaks.
#[must_use]
pub fn ours() -> Version {
    let version = version_of(bindings::EXPORT).and_then(|(_, text)| Version::parse(text).ok());
    version.expect("a test reads it")
}

/// The version that the names of a component's imports carry, if any is ours.
pub fn imported<'a>(
    names: impl Iterator<Item = &'a str>,
    ours: &Version,
) -> Result<Option<Version>, ContractFault> {
    let mut found = None;
    for name in names.filter(|name| name.starts_with(bindings::PACKAGE)) {
        let theirs = compatible(name, ours)?;
        if !IMPORTABLE.contains(&interface_of(name)) {
            let (name, ours) = (clean(name, NAME_BYTES_MAX), ours.clone());
            return Err(ContractFault::Interface { name, theirs, ours });
        }
        found = Some(theirs);
    }
    Ok(found)
}

/// The version of the policy that a component exports.
pub fn exported<'a>(
    names: impl Iterator<Item = &'a str>,
    ours: &Version,
) -> Result<Version, ContractFault> {
    let mut found = Vec::new();
    for name in names {
        if name.starts_with(bindings::PACKAGE) && interface_of(name) == EXPORTED {
            return compatible(name, ours);
        }
        found.push(clean(name, NAME_BYTES_MAX));
    }
    Err(ContractFault::NoPolicy { found: list(&found), ours: ours.clone() })
}

/// As the linker matches names: below 1.0.0 the minor version must be equal,
/// above it the major one; versions for trying out match themselves only.
fn compatible(name: &str, ours: &Version) -> Result<Version, ContractFault> {
    let theirs = version_of(name).and_then(|(_, text)| Version::parse(text).ok());
    let Some(theirs) = theirs else {
        let (name, ours) = (clean(name, NAME_BYTES_MAX), ours.clone());
        return Err(ContractFault::Unversioned { name, ours });
    };
    let track = |version: &Version| (version.major, version.minor * u64::from(version.major == 0));
    let plain = theirs.pre.is_empty() && ours.pre.is_empty();
    if theirs == *ours
        || (plain && theirs.minor + theirs.major > 0 && track(&theirs) == track(ours))
    {
        return Ok(theirs);
    }
    let (name, ours) = (clean(name, NAME_BYTES_MAX), ours.clone());
    Err(ContractFault::Version { name, theirs, ours })
}

fn version_of(name: &str) -> Option<(&str, &str)> {
    name.split_once('@')
}

/// `host` of `backstay:policy/host@0.1.0`.
fn interface_of(name: &str) -> &str {
    let name = version_of(name).map_or(name, |(name, _)| name);
    name.strip_prefix(bindings::PACKAGE).unwrap_or(name)
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return " (it exports nothing)".to_owned();
    }
    let shown: Vec<_> = names.iter().take(NAMES_SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > NAMES_SHOWN { ", …" } else { "" };
    format!(" (it exports {}{more})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;
    use wasmtime::component::{Component, Linker};

    use super::*;

    fn check_row(ours: &str, imports: &[&str], exports: &[&str], expected: &str) {
        let ours = Version::parse(ours).unwrap();
        let checked = imported(imports.iter().copied(), &ours)
            .and_then(|_| exported(exports.iter().copied(), &ours));
        let said = match checked {
            Ok(version) => format!("speaks {version}"),
            Err(fault) => fault.to_string(),
        };
        assert!(said.contains(expected), "{ours} {imports:?} {exports:?}: {said}");
    }

    #[test]
    fn versions_are_told_apart_as_the_linker_does() {
        let policy = |version: &str| format!("backstay:policy/failover-policy@{version}");
        for (ours, theirs, expected) in [
            ("0.1.0", "0.1.0", "speaks 0.1.0"),
            ("0.1.0", "0.1.7", "speaks 0.1.7"),
            ("0.1.1", "0.1.0", "speaks 0.1.0"),
            (
                "0.1.0",
                "0.2.0",
                "built for contract 0.2.0 (`backstay:policy/failover-policy@0.2.0`)",
            ),
            (
                "0.1.0",
                "0.2.0",
                "this gateway speaks 0.1.0: rebuild it with wit/failover-policy.wit",
            ),
            ("0.2.0", "0.1.0", "or run a gateway of contract 0.1.0"),
            ("0.1.0", "1.1.0", "built for contract 1.1.0"),
            ("1.2.0", "1.0.3", "speaks 1.0.3"),
            ("2.0.0", "1.0.0", "built for contract 1.0.0"),
            ("0.0.2", "0.0.1", "built for contract 0.0.1"),
            ("0.0.2", "0.0.2", "speaks 0.0.2"),
            ("0.1.0", "0.1.0-rc.1", "built for contract 0.1.0-rc.1"),
            ("0.1.0", "one", "names no version"),
        ] {
            check_row(ours, &[], &[&policy(theirs)], expected);
        }
    }

    #[test]
    fn what_is_no_policy_is_told_what_it_is() {
        let policy = "backstay:policy/failover-policy@0.1.0";
        let host = "backstay:policy/host@0.1.0";
        check_row("0.1.0", &[host, "wasi:io/streams@0.2.6"], &[policy], "speaks 0.1.0");
        check_row("0.1.0", &["backstay:policy/host@0.3.0"], &[policy], "built for contract 0.3.0");
        check_row("0.1.0", &["backstay:policy/host"], &[policy], "names no version");
        check_row(
            "0.1.0",
            &["backstay:policy/traces@0.1.2"],
            &[policy],
            "imports `backstay:policy/traces@0.1.2` of contract 0.1.2, which this gateway's 0.1.0 \
             does not have",
        );
        check_row("0.1.0", &[], &[], "no policy (it exports nothing): build it for the world");
        check_row("0.1.0", &[], &["wasi:cli/run@0.2.6"], "(it exports `wasi:cli/run@0.2.6`)");
    }

    #[test]
    fn the_names_of_the_host_carry_its_version() {
        assert_eq!(bindings::EXPORT, format!("{}{EXPORTED}@{}", bindings::PACKAGE, ours()));
        let contract = include_str!("../../wit/failover-policy.wit");
        assert!(contract.contains(&format!("package backstay:policy@{};", ours())));
    }

    /// What this module says of versions is what wasmtime does: a gateway of the
    /// next compatible version still links what was built for this one.
    #[test]
    fn the_linker_matches_names_as_this_module_does() {
        let component = r#"(component
            (import "backstay:policy/host@0.1.0" (instance (export "ping" (func))))
            (core module $code (func (export "pong")))
            (core instance $code (instantiate $code))
            (func $pong (canon lift (core func $code "pong")))
            (instance $policy (export "pong" (func $pong)))
            (export "backstay:policy/failover-policy@0.1.0" (instance $policy)))"#;
        let engine = Engine::default();
        let component = Component::new(&engine, wat::parse_str(component).unwrap()).unwrap();
        for (host, fits) in [("0.1.0", true), ("0.1.1", true), ("0.2.0", false)] {
            let mut linker = Linker::<()>::new(&engine);
            let name = format!("backstay:policy/host@{host}");
            linker.instance(&name).unwrap().func_wrap("ping", |_, (): ()| Ok(())).unwrap();
            assert_eq!(linker.instantiate_pre(&component).is_ok(), fits, "{host}");
            let export = format!("backstay:policy/failover-policy@{host}");
            assert_eq!(component.get_export_index(None, &*export).is_some(), fits, "{host}");
        }
    }
}
