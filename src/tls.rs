//! TLS: whom to trust, and what a failed handshake means.

#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::{self, cipher_suite};
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::config::Trust;
use crate::error::{Error, Result};

/// Where operating systems keep their bundle.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the trusted roots once; they stay valid in forked children.
pub(crate) fn roots(trust: &Trust) -> Result<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    match trust {
        Trust::Bundled => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Trust::File(path) => add_file(&mut store, path)?,
        Trust::System => add_file(&mut store, system_bundle()?)?,
    }
    Ok(Arc::new(store))
}

fn system_bundle() -> Result<&'static Path> {
    SYSTEM_BUNDLES
        .iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .ok_or_else(|| Error::config("ca_file", "the system has no certificate bundle"))
}

/// The trusted roots as the text of a PEM file; `None` for those that are built in.
#[cfg(feature = "redis")]
pub(crate) fn bundle(trust: &Trust) -> Result<Option<Vec<u8>>> {
    match trust {
        Trust::Bundled => Ok(None),
        Trust::File(path) => read(path).map(Some),
        Trust::System => read(system_bundle()?).map(Some),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::config("ca_file", format_args!("{}: {reason}", path.display()))
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<()> {
    for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
        let certificate = certificate.map_err(|error| unusable(path, &error))?;
        store.add(certificate).map_err(|error| unusable(path, &error))?;
    }
    if store.is_empty() {
        return Err(unusable(path, &"no certificate in it"));
    }
    Ok(())
}

/// ring's cryptography, less what a client of this service has no use for. AES-128
/// and its SHA-256 come first, as with browsers: they cost the least.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        key_provider: &NoKeys,
        ..ring::default_provider()
    }
}

/// A client here shows no certificate, and so it signs nothing.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("there are no client certificates".into()))
    }
}

/// The configuration all connections of a client share, so that sessions resume.
pub(crate) fn client_config(roots: Arc<RootCertStore>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Two hosts, a few tickets each.
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// What a handshake failed of, for people, and whether the same host may do
/// better next time.
pub(crate) fn explain(error: &rustls::Error) -> (String, bool) {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(reason) => {
            let clock = matches!(
                reason,
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            );
            let question = if clock { " (is the local clock right?)" } else { "" };
            (format!("the certificate is not trusted: {reason}{question}"), false)
        }
        Tls::AlertReceived(alert) => {
            let passing = matches!(alert, rustls::AlertDescription::InternalError);
            (format!("the server ended the handshake: {alert:?}"), passing)
        }
        Tls::InvalidMessage(_) => ("the server does not speak TLS on this port".into(), false),
        other => (format!("the handshake failed: {other}"), false),
    }
}
