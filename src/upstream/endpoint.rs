//! Where a target's requests go: its HTTP client, its URLs, its credential.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{Client, ClientBuilder, Request, Url, redirect, retry};

use super::sending::NoteOpening;
use crate::dialect::provider::Ask;
use crate::dialect::{Dialect, Quirks, Site, Task};
use crate::secret::Secret;

/// How long a connection without a call is kept. Providers close theirs after
/// a minute or more; ours goes first, so that no request meets a closing one.
const IDLE: Duration = Duration::from_secs(50);

/// Bytes of a header's value that may be a key.
const SHORTEST_SECRET: usize = 8;

/// A provider as it is reached: clients share its connections.
#[derive(Clone, Debug)]
pub struct Endpoint {
    client: Client,
    /// The same without kept connections, once it is needed.
    unpooled: Arc<OnceLock<Option<Client>>>,
    connect_timeout: Duration,
    site: Site,
    quirks: Quirks,
    /// By what is asked; see [`Endpoint::of_model`].
    urls: Vec<(Asked, Url)>,
    headers: HeaderMap,
    /// The longest first: one may be a part of another.
    secrets: Vec<Secret>,
}

/// What decides about the URL of a model's request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    pub wire: Dialect,
    pub task: Task,
    pub stream: bool,
}

/// An endpoint that cannot be set up; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("base_url {0:?} is no URL")]
    Url(String),
    #[error("header {0:?} cannot be sent")]
    Header(String),
    #[error("no TLS client: {0}")]
    Tls(String),
}

impl Endpoint {
    pub fn new(
        site: Site,
        quirks: Quirks,
        secret: Option<&Secret>,
        own_headers: &[(String, Secret)],
        connect_timeout: Duration,
    ) -> Result<Self, EndpointError> {
        let client = client(&site, connect_timeout)
            .pool_idle_timeout(IDLE)
            .connector_layer(NoteOpening)
            .build()
            .map_err(|e| EndpointError::Tls(root_cause(&e)))?;
        Url::parse(&site.base_url).map_err(|_| EndpointError::Url(site.base_url.clone()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in own_headers {
            let bad = || EndpointError::Header(name.clone());
            let name = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
            headers.insert(name, sensitive(value).ok_or_else(bad)?);
        }
        if let Some(secret) = secret {
            let bad = || EndpointError::Header("api_key".to_owned());
            let (name, value) = site.auth_header(secret).ok_or_else(bad)?;
            // A header of the operator's own may carry the key in another way.
            headers.entry(name).or_insert(value);
        }
        let secrets = secrets(secret, own_headers);
        let unpooled = Arc::default();
        let urls = Vec::new();
        Ok(Self { client, unpooled, connect_timeout, site, quirks, urls, headers, secrets })
    }

    /// The same for one model, with the URLs of everything it can be asked.
    #[must_use]
    pub fn of_model(&self, model: &str) -> Self {
        let wires = Dialect::ALL.map(|client| self.site.wire(client));
        let mut urls: Vec<(Asked, Url)> = Vec::new();
        for wire in wires {
            for (task, stream) in
                Task::ALL.into_iter().flat_map(|task| [(task, false), (task, true)])
            {
                let asked = Asked { wire, task, stream };
                let url = self.site.url(Ask { wire, task, model, stream });
                let url = url.and_then(|url| Url::parse(&url).ok());
                if let (Some(url), false) = (url, urls.iter().any(|known| known.0 == asked)) {
                    urls.push((asked, url));
                }
            }
        }
        Self { urls, ..self.clone() }
    }

    /// The dialect that is spoken there for a client of this one.
    #[must_use]
    pub const fn wire(&self, client: Dialect) -> Dialect {
        self.site.wire(client)
    }

    #[must_use]
    pub const fn quirks(&self) -> Quirks {
        self.quirks
    }

    /// Whether the provider has what is asked at all.
    #[must_use]
    pub fn has(&self, asked: Asked) -> bool {
        self.url(asked).is_some()
    }

    fn url(&self, asked: Asked) -> Option<&Url> {
        self.urls.iter().find(|known| known.0 == asked).map(|known| &known.1)
    }

    /// What is sent and nobody else's business, to be cut out of whatever the
    /// provider says.
    #[must_use]
    pub fn secrets(&self) -> Vec<&Secret> {
        self.secrets.iter().collect()
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// A client that opens a connection for every request.
    pub(super) fn unpooled(&self) -> Option<&Client> {
        let unpooled = || client(&self.site, self.connect_timeout).pool_max_idle_per_host(0);
        self.unpooled.get_or_init(|| unpooled().build().ok()).as_ref()
    }

    /// `None` for what the provider does not have.
    pub(super) fn request(
        &self,
        asked: Asked,
        forwarded: HeaderMap,
        body: Bytes,
    ) -> Option<Request> {
        let mut request = Request::new(Method::POST, self.url(asked)?.clone());
        *request.headers_mut() = forwarded;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        *request.body_mut() = Some(body.into());
        Some(request)
    }
}

/// HTTP/1.1 only: a stream that is not read then costs its own connection, never
/// one it shares.
fn client(site: &Site, connect_timeout: Duration) -> ClientBuilder {
    let mut builder = Client::builder();
    if !site.base_url.starts_with("https") {
        // Without TLS there is no need of the machine's certificates.
        builder = builder.tls_certs_only([]);
    }
    builder
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(connect_timeout)
}

/// The key, and the values of the operator's own headers: which of those are keys
/// cannot be told. Short ones are left, lest they cut ordinary words.
fn secrets(key: Option<&Secret>, own_headers: &[(String, Secret)]) -> Vec<Secret> {
    let values = own_headers.iter().flat_map(|(name, value)| {
        // `Bearer KEY`: a provider may say the key alone.
        let bare = value.expose().split_once(' ').filter(|_| name.ends_with("authorization"));
        let bare = bare.map(|(_scheme, key)| Secret::new(key.trim()));
        bare.into_iter().chain([value.clone()])
    });
    let values = values.filter(|value| value.expose().len() >= SHORTEST_SECRET);
    let mut secrets: Vec<_> = key.cloned().into_iter().chain(values).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    secrets
}

/// A header value that nothing prints.
fn sensitive(value: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The innermost reason of an error, without URLs.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_headers_are_secrets_unless_they_are_ordinary_words() {
        for (key, headers, expected) in [
            (None, &[][..], &[][..]),
            (Some("sk-1"), &[], &["sk-1"][..]),
            (Some("sk-1"), &[("x-org", "acme"), ("x-key", "k-12345678")], &["k-12345678", "sk-1"]),
            (None, &[("authorization", "Bearer k-12345678")], &["Bearer k-12345678", "k-12345678"]),
            (None, &[("x-note", "two longer words")], &["two longer words"]),
        ] {
            let headers: Vec<_> =
                headers.iter().map(|(name, v)| ((*name).to_owned(), Secret::new(*v))).collect();
            let found = secrets(key.map(Secret::new).as_ref(), &headers);
            let found: Vec<_> = found.iter().map(Secret::expose).collect();
            assert_eq!(found, expected, "{headers:?}");
        }
    }
}
