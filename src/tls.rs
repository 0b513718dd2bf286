//! The one choice of cryptography, made once a process.

/// Makes ring the provider of TLS. A second call changes nothing.
pub fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
