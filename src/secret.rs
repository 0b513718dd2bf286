//! Credentials: values that can be used and compared, but not printed.

use subtle::ConstantTimeEq;

/// Headers that carry clients' credentials, in lower case: shown to no policy.
pub const CREDENTIAL_HEADERS: [&str; 6] =
    ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"];

/// A key. It has neither `Debug` with its content, nor `Display`, nor
/// `Serialize`: it cannot reach a log, an error or a page by accident.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    #[must_use]
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// The key itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends only on the lengths.
    #[must_use]
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }

    /// `text` with every occurrence of the key cut out.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        text.replace(&*self.0, "[redacted]")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
