//! What was set up without a configuration, for the operator to read.

use std::fmt;

use super::found::{Found, FoundProvider, KNOWN};
use super::routes::SetRoute;

/// What was found, which routes were made of it, and the configuration's text.
#[derive(PartialEq, Eq, Debug)]
pub struct SetUp {
    pub found: Found,
    pub routes: Vec<SetRoute>,
    /// A `backstay.toml` that says the same.
    pub text: String,
}

/// A table: the providers with the variables they came from, then the routes
/// with their targets in the order in which they are tried.
impl fmt::Display for SetUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let providers: Vec<_> = self.found.providers.iter().map(provider_row).collect();
        let routes: Vec<_> = self.routes.iter().map(route_row).collect();
        write!(f, "providers found in the environment:")?;
        columns(f, &providers)?;
        write!(f, "\nmodels to ask for, and where such calls go, one after the other:")?;
        columns(f, &routes)?;
        let other = self.routes.iter().find_map(|route| route.names.get(1));
        if let Some(name) = other {
            write!(f, "\n  and each by the names that its providers have for it, such as {name}")?;
        }
        for note in &self.found.notes {
            write!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

fn provider_row(provider: &FoundProvider) -> [String; 3] {
    let origin = provider.key.or(provider.url_from).unwrap_or("is running here");
    [provider.known.name.to_owned(), origin.to_owned(), provider.base_url.clone()]
}

/// Of a target that serves the model itself, the provider says enough.
fn route_row(route: &SetRoute) -> [String; 2] {
    let show = |target: &super::routes::SetTarget| {
        if route.names.contains(&target.model) {
            target.provider.to_owned()
        } else {
            format!("{}/{}", target.provider, target.model)
        }
    };
    let targets: Vec<_> = route.targets.iter().map(show).collect();
    [route.names[0].clone(), targets.join(", ")]
}

/// A cell wider than this pushes the rest of its line aside, not the others.
const WIDEST: usize = 40;

fn columns<const N: usize>(f: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.filter(|width| *width <= WIDEST).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        write!(f, "\n  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// What to say when there is nothing to set up from.
pub(super) fn nothing_found(found: &Found) -> String {
    let keys: Vec<_> = KNOWN.iter().flat_map(|known| known.keys).copied().collect();
    let mut text = format!(
        "no provider's key is in the environment; looked for\n  {}\nand for a local Ollama with a \
         model (OLLAMA_HOST, else 127.0.0.1:11434)\n",
        keys.join("\n  ")
    );
    for note in &found.notes {
        text.push_str(note);
        text.push('\n');
    }
    text.push_str("set one of them, or write a configuration with `backstay init`");
    text
}
