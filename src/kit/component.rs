//! What can be said of a component, or made of a core module, without running
//! either.

use std::path::Path;

use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WORLD: &str = "policy";

/// Makes a component of what a C compiler links: a core module that knows
/// nothing of the contract in `wit`.
pub fn of_module(mut module: Vec<u8>, wit: &Path) -> Result<Vec<u8>, String> {
    let all_causes = |error: &dyn std::fmt::Display| format!("{error:#}");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).map_err(|error| all_causes(&error))?;
    let world =
        resolve.select_world(&[package], Some(WORLD)).map_err(|error| all_causes(&error))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| all_causes(&error))?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(ComponentEncoder::encode)
        .map_err(|error| all_causes(&error))
}

/// The names of a component's imports, as its type has them.
pub fn imports(component: &[u8]) -> Result<Vec<String>, String> {
    match wit_component::decode(component) {
        Ok(DecodedWasm::Component(resolve, world)) => {
            let imports = resolve.worlds[world].imports.keys();
            Ok(imports.map(|name| resolve.name_world_key(name)).collect())
        }
        Ok(DecodedWasm::WitPackage(..)) => {
            Err("it holds interfaces only, and no code that could run".to_owned())
        }
        Err(error) => Err(format!("{error:#}")),
    }
}
