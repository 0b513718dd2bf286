//! The proxy to compare with: hyper in front, reqwest behind, set up like the
//! gateway's own, and nothing between them but what forwarding takes.

use std::net::SocketAddr;

use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use reqwest::{Body, Client, Url, redirect, retry};
use tokio::net::{TcpListener, TcpStream};

use super::Fault;

/// Of one connection, and so not forwarded.
const HOP_BY_HOP: [header::HeaderName; 4] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::HOST, header::TRANSFER_ENCODING];

/// Serves until something fails that is not one connection's own.
pub async fn serve(listener: TcpListener, upstream: SocketAddr) -> Fault {
    let (client, base) = match (client(), Url::parse(&format!("http://{upstream}"))) {
        (Ok(client), Ok(base)) => (client, base),
        (Err(error), _) => return error.into(),
        (_, Err(error)) => return error.into(),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, client.clone(), base.clone()))),
            Err(error) => return error.into(),
        }
    }
}

fn client() -> reqwest::Result<Client> {
    // reqwest insists on one, although nothing here is encrypted. That another
    // was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .tls_certs_only([])
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .tcp_nodelay(true)
        .build()
}

async fn connection(stream: TcpStream, client: Client, base: Url) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let service = service_fn(|request| forward(&client, &base, request));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

async fn forward(
    client: &Client,
    base: &Url,
    request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    let (head, body) = request.into_parts();
    let mut url = base.clone();
    url.set_path(head.uri.path());
    let mut forwarded = reqwest::Request::new(Method::POST, url);
    *forwarded.headers_mut() = end_to_end(head.headers);
    *forwarded.body_mut() = Some(body.collect().await?.to_bytes().into());
    let mut answer = http::Response::<Body>::from(client.execute(forwarded).await?);
    let headers = std::mem::take(answer.headers_mut());
    *answer.headers_mut() = end_to_end(headers);
    Ok(answer)
}

fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}
