//! What the gateway speaks: the closed set of wire dialects.

/// A wire dialect: how requests, answers, streams and errors are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    OpenAi,
}

impl Dialect {
    /// Every dialect with the name used in configurations.
    pub const ALL: [(&'static str, Dialect); 1] = [("openai", Dialect::OpenAi)];

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
        }
    }
}
