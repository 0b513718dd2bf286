//! Where the running gateway is, for the verbs that talk to one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::{USUAL_FILE, environment};
use super::file::{failed, misused};
use crate::admin::client::{AdminClient, AskFault};
use crate::config;
use crate::secret::Secret;
use crate::tls;

/// Where a gateway without a configuration listens.
const USUAL_ADDRESS: &str = "127.0.0.1:8081";
const ADDRESS_VARIABLE: &str = "BACKSTAY_ADMIN_LISTEN";
const TOKEN_VARIABLE: &str = "BACKSTAY_ADMIN_TOKEN";

#[derive(Debug, clap::Args)]
pub struct Running {
    /// The gateway's configuration: address and token are in its [admin].
    /// Without it backstay.toml, and where there is none the address and token
    /// that `serve` takes from the environment.
    #[arg(long, short, value_name = "FILE", env = "BACKSTAY_CONFIG")]
    config: Option<PathBuf>,
    /// The admin listener's URL, instead of the configuration's address.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The environment variable with the admin token, instead of the
    /// configuration's.
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

impl Running {
    /// Asks the gateway; complains if that cannot be.
    pub fn ask<T>(
        &self,
        question: impl AsyncFnOnce(AdminClient) -> Result<T, AskFault>,
    ) -> Result<T, ExitCode> {
        let client = self.client()?;
        let runtime = super::super::runtime().map_err(|error| failed(&error))?;
        runtime.block_on(question(client)).map_err(|fault| match fault {
            AskFault::Url(_) => misused(&fault),
            AskFault::NotRunning { .. }
            | AskFault::Unauthorized(..)
            | AskFault::Forbidden(_)
            | AskFault::NotFound(_)
            | AskFault::Conflict(_)
            | AskFault::Unexpected { .. } => failed(&fault),
        })
    }

    fn client(&self) -> Result<AdminClient, ExitCode> {
        let (listen, token) = self.configured()?;
        let token = match &self.token_env {
            Some(name) => Some(variable(name).ok_or_else(|| {
                misused(&format!("--token-env names the variable {name:?}, which is not set"))
            })?),
            None => token,
        };
        let url = match (&self.admin, listen) {
            (Some(url), _) => url.clone(),
            (None, Ok(listen)) => url_of(&listen).map_err(|problem| misused(&problem))?,
            (None, Err(problem)) => return Err(misused(&problem)),
        };
        tls::install_provider();
        AdminClient::new(&url, token).map_err(|fault| misused(&fault))
    }

    /// Address and token as the gateway has them. A file is not needed where
    /// the arguments say all, but one that is named must be good.
    fn configured(&self) -> Result<(Result<String, &'static str>, Option<Secret>), ExitCode> {
        let path = match &self.config {
            Some(path) => path,
            None if self.admin.is_none() && Path::new(USUAL_FILE).exists() => Path::new(USUAL_FILE),
            None if self.admin.is_some() => return Ok((Err("unused"), None)),
            None => {
                let listen = environment(ADDRESS_VARIABLE).and_then(|text| text.into_string().ok());
                let listen = listen.unwrap_or_else(|| USUAL_ADDRESS.to_owned());
                return Ok((Ok(listen), variable(TOKEN_VARIABLE)));
            }
        };
        let admin = config::load_admin(path, &environment);
        Ok(match admin.map_err(|problems| misused(&problems))? {
            Some(admin) => (Ok(admin.listen), admin.token),
            None => (Err("[admin] listen is \"off\": nothing can be asked of that gateway"), None),
        })
    }
}

fn variable(name: &str) -> Option<Secret> {
    let value = environment(name)?.into_string().ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| Secret::new(value))
}

/// How a listener is reached from this machine.
fn url_of(listen: &str) -> Result<String, String> {
    let Ok(address) = listen.parse::<SocketAddr>() else {
        return Ok(format!("http://{listen}"));
    };
    if address.port() == 0 {
        return Err(format!(
            "[admin] listen is {listen}, a port that is chosen at the start: say which with --admin"
        ));
    }
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, address.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_reached_from_this_machine() {
        for (listen, expected) in [
            ("127.0.0.1:8081", Ok("http://127.0.0.1:8081")),
            ("0.0.0.0:9000", Ok("http://127.0.0.1:9000")),
            ("[::]:9000", Ok("http://[::1]:9000")),
            ("192.0.2.7:80", Ok("http://192.0.2.7:80")),
            ("localhost:8081", Ok("http://localhost:8081")),
            ("127.0.0.1:0", Err(())),
        ] {
            let url = url_of(listen);
            assert_eq!(url.as_deref().map_err(|_| ()), expected, "{listen}");
        }
    }
}
