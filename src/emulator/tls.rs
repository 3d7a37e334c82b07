//! HTTPS with an authority of its own.
//!
//! Made anew at each start and kept in memory; only the authority's certificate
//! is written to a file, for clients to trust. Its key never leaves the process.

#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto, version};

use super::options::{Certificate, TlsOptions, TlsVersions};

/// What a server needs, and what its clients do.
pub(crate) struct Identity {
    pub config: Arc<ServerConfig>,
    /// The authority's certificate.
    pub ca_pem: String,
}

pub(crate) fn identity(options: &TlsOptions) -> io::Result<Identity> {
    let failed = |error: rcgen::Error| io::Error::other(format!("making a certificate: {error}"));
    let authority = authority().map_err(failed)?;
    let (certificate, key) = leaf(&authority, options.certificate).map_err(failed)?;
    let versions: &[_] = match options.versions {
        TlsVersions::Both => &[&version::TLS13, &version::TLS12],
        TlsVersions::Tls12 => &[&version::TLS12],
        TlsVersions::Tls13 => &[&version::TLS13],
    };
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(
                vec![certificate],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
        })
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets, so that sessions are resumed in both versions.
    config.ticketer = crypto::ring::Ticketer::new().map_err(io::Error::other)?;
    Ok(Identity { config: Arc::new(config), ca_pem: authority.pem() })
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named("imgroup emulator, not for production");
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn leaf(
    authority: &CertifiedIssuer<'_, KeyPair>,
    kind: Certificate,
) -> Result<(CertificateDer<'static>, KeyPair), rcgen::Error> {
    let names = match kind {
        Certificate::OtherName => vec!["other.invalid".to_owned()],
        _ => vec!["localhost".into(), "127.0.0.1".into(), "::1".into()],
    };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("imgroup emulator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
    let now = std::time::SystemTime::now();
    let (from, until) = match kind {
        Certificate::Expired => (now - 30 * DAY, now - DAY),
        Certificate::Future => (now + DAY, now + 30 * DAY),
        _ => (now - DAY, now + 365 * DAY),
    };
    (params.not_before, params.not_after) = (from.into(), until.into());
    let key = KeyPair::generate()?;
    let certificate = match kind {
        Certificate::SelfSigned => params.self_signed(&key)?,
        _ => params.signed_by(&key, authority)?,
    };
    Ok((certificate.der().clone(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_certificate_can_be_made() {
        for (word, certificate) in Certificate::ALL {
            for (_, versions) in TlsVersions::ALL {
                let options =
                    TlsOptions { certificate: *certificate, versions: *versions, ..TlsOptions::default() };
                let identity = identity(&options).unwrap_or_else(|error| panic!("{word}: {error}"));
                assert!(identity.ca_pem.starts_with("-----BEGIN CERTIFICATE-----"));
            }
        }
    }
}
