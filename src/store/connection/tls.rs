//! TLS to Postgres, with the modes and names of libpq. Reads certificates, connects nothing.

use crate::StoreError;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, sync::Arc};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How much is asked of the connection to Postgres: `sslmode` of libpq.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server can; nobody proves who they are.
    #[default]
    Prefer,
    /// Encrypted. With root certificates the server's must descend from one of them, as with `verify-ca`.
    Require,
    /// Encrypted, and the server's certificate descends from a root certificate.
    VerifyCa,
    /// The same, and the certificate is for the host that was asked for.
    VerifyFull,
}

impl TlsMode {
    fn parse(text: &str) -> Result<Self, StoreError> {
        Ok(match text {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => {
                return Err(StoreError::Config(format!(
                    "sslmode {text:?} is none of disable, prefer, require, verify-ca and verify-full"
                )));
            }
        })
    }
}

/// What was said about TLS, in the URL or the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) mode: Option<TlsMode>,
    /// A PEM file, or `system`.
    pub(crate) root_cert: Option<PathBuf>,
}

impl TlsSettings {
    /// Takes `sslmode` and `sslrootcert` out of a URL or `key=value` string: the rest is for the driver, which does not
    /// know all of libpq's modes.
    pub(crate) fn split(text: &str) -> Result<(String, Self), StoreError> {
        let mut found = Self::default();
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let rest = if is_url {
            let Some((head, query)) = text.split_once('?') else { return Ok((text.to_owned(), found)) };
            let mut kept = Vec::new();
            for pair in query.split('&') {
                if !found.take(pair, url_decoded)? {
                    kept.push(pair);
                }
            }
            if kept.is_empty() { head.to_owned() } else { format!("{head}?{}", kept.join("&")) }
        } else {
            let mut kept = text.to_owned();
            for word in text.split_ascii_whitespace() {
                if found.take(word, |value| value.trim_matches('\'').to_owned())? {
                    kept = kept.replacen(word, "", 1);
                }
            }
            kept
        };
        Ok((rest, found))
    }

    /// Notes a `key=value` if it is one of ours.
    fn take(&mut self, pair: &str, decode: impl Fn(&str) -> String) -> Result<bool, StoreError> {
        match pair.split_once('=') {
            Some(("sslmode", value)) => self.mode = Some(TlsMode::parse(&decode(value))?),
            Some(("sslrootcert", value)) => {
                self.root_cert = Some(decode(value).into()).filter(|p: &PathBuf| !p.as_os_str().is_empty())
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The mode that is in force.
    pub(crate) fn mode(&self) -> TlsMode {
        match (self.mode.unwrap_or_default(), &self.root_cert) {
            (TlsMode::Require, Some(_)) => TlsMode::VerifyCa,
            (mode, _) => mode,
        }
    }

    /// What connects.
    ///
    /// # Errors
    /// When a root certificate cannot be read.
    pub(crate) fn connector(&self) -> Result<MakeRustlsConnect, StoreError> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreError::Config(format!("TLS: {error}")))?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.mode() {
            TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Arc::new(Lenient { provider, roots: None }),
            mode => {
                let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), Arc::clone(&provider))
                    .build()
                    .map_err(|error| StoreError::Config(format!("root certificates for Postgres: {error}")))?;
                if mode == TlsMode::VerifyFull { roots } else { Arc::new(Lenient { provider, roots: Some(roots) }) }
            }
        };
        let config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }

    /// Certificates of the file, or those of the system.
    fn roots(&self) -> Result<RootCertStore, StoreError> {
        let mut roots = RootCertStore::empty();
        let Some(path) = self.root_cert.as_ref().filter(|path| path.as_os_str() != "system") else {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            return Ok(roots);
        };
        let wrong = |why: String| StoreError::Config(format!("sslrootcert {}: {why}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(roots) }
    }
}

fn url_decoded(value: &str) -> String {
    url::form_urlencoded::parse(format!("v={value}").as_bytes()).next().map(|(_, v)| v.into_owned()).unwrap_or_default()
}

/// Asks for less than the full proof: for no certificate's descent without roots, for no name with them. Whoever signs
/// the handshake must own the certificate, though.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    roots: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        match roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, when everything else is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (String, Option<TlsMode>, Option<String>) {
        let (rest, tls) = TlsSettings::split(text).unwrap();
        (rest, tls.mode, tls.root_cert.map(|path| path.display().to_string()))
    }

    #[test]
    fn modes_and_roots_are_taken_out_of_the_address() {
        use TlsMode::{Require, VerifyFull};
        let plain = "postgresql://u:p%3Fw@h:5432/d";
        assert_eq!(split(plain), (plain.to_owned(), None, None));
        let url = format!("{plain}?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc%2Fa%20b.pem");
        let root = Some("/etc/a b.pem".to_owned());
        assert_eq!(split(&url), (format!("{plain}?connect_timeout=3"), Some(VerifyFull), root));
        assert_eq!(split(&format!("{plain}?sslmode=require")), (plain.to_owned(), Some(Require), None));
        let (rest, mode, root) = split("host=h sslmode=require password='a  b' sslrootcert='/r.pem'");
        assert_eq!((rest.as_str(), mode, root.as_deref()), ("host=h  password='a  b' ", Some(Require), Some("/r.pem")));
        let error = TlsSettings::split("postgresql://h/d?sslmode=perhaps").unwrap_err().to_string();
        assert!(error.contains("perhaps") && error.contains("verify-full"), "{error}");
    }

    #[test]
    fn require_with_a_root_verifies_as_libpq_does() {
        let mode = |text| TlsSettings::split(text).unwrap().1.mode();
        assert_eq!(mode("postgresql://h/d?sslmode=require"), TlsMode::Require);
        assert_eq!(mode("postgresql://h/d?sslmode=require&sslrootcert=/r.pem"), TlsMode::VerifyCa);
        assert_eq!(mode("postgresql://h/d"), TlsMode::Prefer);
    }

    #[test]
    fn a_root_that_cannot_be_read_is_an_error_with_its_name() {
        let (_, tls) = TlsSettings::split("postgresql://h/d?sslmode=verify-full&sslrootcert=/nowhere.pem").unwrap();
        let error = tls.connector().err().unwrap().to_string();
        assert!(error.contains("/nowhere.pem"), "{error}");
    }
}
