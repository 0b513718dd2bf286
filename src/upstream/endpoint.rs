//! Where a target's requests go: its HTTP client, its URLs, its credential.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::{Client, Request, Url, redirect, retry};

use crate::dialect::Dialect;
use crate::failover::Operation;
use crate::secret::Secret;

/// How long a connection without a call is kept. Providers close theirs after
/// a minute or more; ours goes first, so that no request meets a closing one.
const IDLE: Duration = Duration::from_secs(50);

/// A provider as it is reached: clients share its connections.
#[derive(Clone, Debug)]
pub struct Endpoint {
    client: Client,
    dialect: Dialect,
    chat: Url,
    embeddings: Url,
    headers: HeaderMap,
    secret: Option<Secret>,
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
    /// HTTP/1.1 only: a stream that is not read then costs its own connection,
    /// never one it shares.
    pub fn new(
        dialect: Dialect,
        base_url: &str,
        secret: Option<&Secret>,
        own_headers: &[(String, Secret)],
        connect_timeout: Duration,
    ) -> Result<Self, EndpointError> {
        let mut builder = Client::builder();
        if !base_url.starts_with("https") {
            // Without TLS there is no need of the machine's certificates.
            builder = builder.tls_certs_only([]);
        }
        let client = builder
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(|e| EndpointError::Tls(root_cause(&e)))?;
        let url = |operation| {
            let path = dialect.path(operation).unwrap_or_default();
            let url = format!("{}{path}", base_url.trim_end_matches('/'));
            Url::parse(&url).map_err(|_| EndpointError::Url(base_url.to_owned()))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in own_headers {
            let bad = || EndpointError::Header(name.clone());
            let name = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
            headers.insert(name, sensitive(value).ok_or_else(bad)?);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(secret) = secret {
            let bad = || EndpointError::Header("authorization".to_owned());
            let (name, value) = dialect.auth_header(secret).ok_or_else(bad)?;
            headers.insert(name, value);
        }
        let (chat, embeddings) = (url(Operation::Chat)?, url(Operation::Embeddings)?);
        Ok(Self { client, dialect, chat, embeddings, headers, secret: secret.cloned() })
    }

    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The credential, to be cut out of whatever the provider says.
    #[must_use]
    pub const fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn request(
        &self,
        operation: Operation,
        forwarded: &HeaderMap,
        body: Bytes,
    ) -> Request {
        let url = match operation {
            Operation::Embeddings => &self.embeddings,
            Operation::Chat | Operation::Responses | Operation::Other => &self.chat,
        };
        let mut request = Request::new(Method::POST, url.clone());
        let headers = request.headers_mut();
        headers.reserve(self.headers.len() + forwarded.len());
        headers.extend(forwarded.iter().map(|(name, value)| (name.clone(), value.clone())));
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        *request.body_mut() = Some(body.into());
        request
    }
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
