//! Whose signature makes a host's certificate good.

use std::path::PathBuf;
use std::sync::Arc;

use ureq::tls::{Certificate, RootCerts};

use super::HubError;

/// The authorities whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorities {
    /// Mozilla's list, and what this machine believes besides: a company's own, for instance. Not the latter alone: a
    /// container may have none, and some systems fill their store as they go.
    #[default]
    OfSystem,
    /// Those of a PEM file and of a folder of such files, and no others: `SSL_CERT_FILE`, `SSL_CERT_DIR`.
    Named {
        /// The file.
        file: Option<PathBuf>,
        /// The folder.
        dir: Option<PathBuf>,
    },
}

impl Authorities {
    pub(super) fn roots(&self) -> Result<RootCerts, HubError> {
        let (mut ders, errors) = match self {
            Self::OfSystem => {
                let found = rustls_native_certs::load_native_certs();
                let mut ders = found.certs;
                ders.extend_from_slice(webpki_root_certs::TLS_SERVER_ROOT_CERTS);
                (ders, found.errors)
            }
            Self::Named { file, dir } => {
                let found = rustls_native_certs::load_certs_from_paths(file.as_deref(), dir.as_deref());
                (found.certs, found.errors)
            }
        };
        for error in &errors {
            tracing::debug!(%error, "a certificate was left out");
        }
        ders.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        ders.dedup();
        match self {
            Self::Named { file, dir } if ders.is_empty() => {
                let places: Vec<_> =
                    [file, dir].into_iter().flatten().map(|path| path.display().to_string()).collect();
                let error = errors.first().map_or_else(String::new, |error| format!(" ({error})"));
                Err(HubError::Options(format!(
                    "no certificate can be read in {}{error}: SSL_CERT_FILE and REQUESTS_CA_BUNDLE name a PEM file, \
                     SSL_CERT_DIR a folder of them",
                    places.join(" and ")
                )))
            }
            _ => {
                let certificates = ders.iter().map(|der| Certificate::from_der(der).to_owned());
                Ok(RootCerts::Specific(Arc::new(certificates.collect())))
            }
        }
    }
}

/// What to do about a certificate that was not believed; `problem` is what the TLS library says.
pub(super) fn advice(problem: &str) -> &'static str {
    if problem.contains("UnknownIssuer") {
        return "where a company's own authority signs for its network, set SSL_CERT_FILE to the PEM file of that \
                authority; otherwise somebody may be listening";
    }
    if problem.to_ascii_lowercase().contains("expired") || problem.contains("NotValidYet") {
        return "it is out of its time: is this machine's clock right?";
    }
    "it is not that host's: is the address right, or does the network show a login page first?"
}
