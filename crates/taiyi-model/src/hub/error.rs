//! What can go wrong between a hub and the disk, told so that somebody can act on it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::ModelError;

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// The network must not be used.
    #[error(
        "{} not in {}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network: unset that, or bring the files \
         with `taiyi-search model import DIR --as {model}`", are(repositories), cache_dir.display()
    )]
    Offline {
        /// The model.
        model: String,
        /// The repositories of which files are missing.
        repositories: Vec<String>,
        /// The cache.
        cache_dir: PathBuf,
    },
    /// No connection to the hub.
    #[error(
        "cannot reach {endpoint}: {problem}; try a mirror with --mirror https://hf-mirror.com or HF_ENDPOINT, a proxy \
         with HTTPS_PROXY, or bring the files with `taiyi-search model import DIR --as NAME`"
    )]
    Unreachable {
        /// The hub or another host that it sends us to.
        endpoint: String,
        /// What went wrong.
        problem: String,
    },
    /// No connection to the hub, where a proxy is asked for one.
    #[error(
        "cannot reach {endpoint} through the proxy {proxy} of {variables}: {problem}; see whether that proxy works, name \
         another one, or put the host into NO_PROXY to reach it without"
    )]
    ThroughProxy {
        /// The hub or another host that it sends us to.
        endpoint: String,
        /// The proxy's host and port.
        proxy: String,
        /// The environment variables that name it.
        variables: &'static str,
        /// What went wrong.
        problem: String,
    },
    /// A host's certificate is not believed.
    #[error("the certificate of {endpoint} is not trusted ({problem}): {advice}")]
    Untrusted {
        /// The hub or another host that it sends us to.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
        /// What may help.
        advice: &'static str,
    },
    /// The hub asks for leave.
    #[error("{what}: the hub refuses ({status}): {remedy}")]
    Refused {
        /// The repository or file.
        what: String,
        /// The status of its answer.
        status: u16,
        /// What may help.
        remedy: String,
    },
    /// The hub has no such thing.
    #[error("{what} is not on {endpoint}{remedy}")]
    NotFound {
        /// The repository or file.
        what: String,
        /// The hub.
        endpoint: String,
        /// What may help, if anything is known to; begins with `: `.
        remedy: &'static str,
    },
    /// The hub gave an answer that cannot be used, or none after several tries.
    #[error("{what}: {problem}")]
    Server {
        /// The address or file.
        what: String,
        /// What was wrong with the answer.
        problem: String,
    },
    /// The bytes that came are not those announced. They have been removed.
    #[error(
        "{what} arrived damaged: its hash is {actual}, the hub announced {expected}; what came was removed, fetch again \
         or from another mirror"
    )]
    Mismatch {
        /// The file.
        what: String,
        /// The hash announced.
        expected: String,
        /// The hash of what came.
        actual: String,
    },
    /// No room is left.
    #[error(
        "the disk of {} is full{}; make room and do the same again: a fetch goes on from where it was", path.display(),
        needs(*needed_bytes)
    )]
    DiskFull {
        /// The folder that is written to.
        path: PathBuf,
        /// How much more room is needed, where that is known.
        needed_bytes: Option<u64>,
    },
    /// Another process is at the same.
    #[error("another process fetches into {what} at this moment: wait until it is through, or stop it")]
    Busy {
        /// The folder.
        what: String,
    },
    /// A file or folder on this machine cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was asked to stop; what came so far stays.
    #[error("stopped")]
    Cancelled,
    /// The files are here, but are no model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

fn are(names: &[String]) -> String {
    format!("{} {}", names.join(" and "), if names.len() == 1 { "is" } else { "are" })
}

fn needs(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!(": {:.1} MB more are needed", bytes as f64 / 1e6))
}

impl HubError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.parent().unwrap_or(path).to_owned(), needed_bytes: None }
            }
            _ => Self::Io { path: path.to_owned(), source },
        }
    }

    pub(super) fn server(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Server { what: what.into(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        let told = |kind: ErrorKind| HubError::io(Path::new("/disk/models/file"), kind.into()).to_string();
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert!(told(kind).starts_with("the disk of /disk/models is full; make room"), "{}", told(kind));
        }
        assert!(told(ErrorKind::PermissionDenied).starts_with("/disk/models/file: "));
        let short = HubError::DiskFull { path: "/disk".into(), needed_bytes: Some(2_500_000) }.to_string();
        assert!(short.contains("full: 2.5 MB more are needed; make room"), "{short}");
    }

    #[test]
    fn what_is_not_here_is_one_or_several() {
        let told = |repositories: &[&str]| {
            let repositories = repositories.iter().map(|name| (*name).to_owned()).collect();
            HubError::Offline { model: "x".into(), repositories, cache_dir: "/hub".into() }.to_string()
        };
        assert!(told(&["a/b"]).starts_with("a/b is not in /hub, and HF_HUB_OFFLINE"));
        assert!(told(&["a/b", "c/d"]).starts_with("a/b and c/d are not in /hub, and HF_HUB_OFFLINE"));
    }
}
