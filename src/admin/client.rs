//! Asks a running gateway's admin listener, for the verbs of the command line.
//! Goes nowhere but where it was told: no redirects, no proxy, no retries.

use std::time::Duration;

use http::{Method, StatusCode, header};
use reqwest::{Client, Url, redirect, retry};
use serde_json::Value;

use super::visitor::MARK;
use crate::secret::Secret;

/// A gateway answers at once, or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer. The operator can mend all of it.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    #[error("{0:?} is no URL of an admin listener; write for example http://127.0.0.1:8081")]
    Url(String),
    #[error("no gateway answers at {url}: {reason}; is it running, and is [admin] listen there?")]
    NotRunning { url: String, reason: String },
    #[error("the gateway at {0} wants its admin token: {1}")]
    Unauthorized(String, &'static str),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{url} answered {status}, which is not what a gateway of this version says: {said}")]
    Unexpected { url: String, status: u16, said: String },
}

/// Where a gateway's admin listener is, and what opens it.
#[derive(Clone, Debug)]
pub struct AdminClient {
    client: Client,
    base: Url,
    token: Option<Secret>,
}

impl AdminClient {
    /// `base` is `http://HOST:PORT` or `https://…`. The process's TLS provider must
    /// be installed.
    pub fn new(base: &str, token: Option<Secret>) -> Result<Self, AskFault> {
        let no_url = || AskFault::Url(base.to_owned());
        let parsed = Url::parse(base).map_err(|_| no_url())?;
        let plain = matches!(parsed.scheme(), "http" | "https")
            && parsed.host().is_some()
            && parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none();
        if !plain {
            return Err(no_url());
        }
        let mut builder = Client::builder();
        if parsed.scheme() == "http" {
            // Without TLS there is no need of the machine's certificates.
            builder = builder.tls_certs_only([]);
        }
        let client = builder
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| no_url())?;
        Ok(Self { client, base: parsed, token })
    }

    /// What `GET /policies` lists.
    pub async fn policies(&self) -> Result<Vec<Value>, AskFault> {
        let answer = self.ask(Method::GET, "policies").await?;
        match answer.get("policies").and_then(Value::as_array) {
            Some(list) => Ok(list.clone()),
            None => Err(self.unexpected(200, "no list of policies")),
        }
    }

    pub async fn roll_back(&self, name: &str) -> Result<Value, AskFault> {
        // A path with other characters would be another path.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(plain) || name.chars().all(|c| c == '.') {
            return Err(AskFault::NotFound(format!("{name:?} cannot be a policy's name")));
        }
        self.ask(Method::POST, &format!("policies/{name}/rollback")).await
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Value, AskFault> {
        let base = self.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/{path}")).map_err(|_| AskFault::Url(base.into()))?;
        let mut request = self.client.request(method, url).header(MARK, "1");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let answer = request.header(header::ACCEPT, "application/json").send().await;
        let mut answer = answer.map_err(|error| self.not_running(&error))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.not_running(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.unexpected(status.as_u16(), "more than 16 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        self.judge(status, &body)
    }

    fn judge(&self, status: StatusCode, body: &[u8]) -> Result<Value, AskFault> {
        let document = serde_json::from_slice::<Value>(body).ok();
        let error = document.as_ref().and_then(|value| value["error"].as_str());
        match (status, &document, error) {
            (StatusCode::OK, Some(value), None) => Ok(value.clone()),
            (StatusCode::UNAUTHORIZED, _, Some(_)) => {
                let remedy = match self.token {
                    Some(_) => "the one given is not it",
                    None => "name its variable with --token-env, or use --config",
                };
                Err(AskFault::Unauthorized(self.base.to_string(), remedy))
            }
            (StatusCode::FORBIDDEN, _, Some(error)) => Err(AskFault::Forbidden(error.to_owned())),
            (StatusCode::NOT_FOUND, _, Some(error)) => Err(AskFault::NotFound(error.to_owned())),
            (StatusCode::CONFLICT, _, Some(error)) => Err(AskFault::Conflict(error.to_owned())),
            _ => {
                let text = String::from_utf8_lossy(body);
                let line = text.lines().next().unwrap_or_default();
                let said: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
                Err(self.unexpected(status.as_u16(), error.unwrap_or(&said)))
            }
        }
    }

    fn not_running(&self, error: &reqwest::Error) -> AskFault {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        AskFault::NotRunning { url: self.base.to_string(), reason: cause.to_string() }
    }

    fn unexpected(&self, status: u16, said: &str) -> AskFault {
        AskFault::Unexpected { url: self.base.to_string(), status, said: said.to_owned() }
    }
}
