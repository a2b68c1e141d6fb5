//! What a repository holds: its commit, and size and hash of each file that a tower needs.

use std::io::Read as _;

use serde::Deserialize;

use super::cache::is_commit;
use super::http::{Answer, Client, Subject, Trouble};
use super::wanted::{Part, Wanted};
use super::{FileHash, HubError};

/// A list of files is a few kilobytes.
const MAX_LISTING_BYTES: u64 = 8 << 20;
/// The only revision that models are fetched of.
pub(super) const REVISION: &str = "main";

/// The files of a repository that a tower needs, at one commit.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) repository: String,
    pub(super) commit: String,
    pub(super) files: Vec<RemoteFile>,
}

/// One of these files.
#[derive(Clone, Debug)]
pub(super) struct RemoteFile {
    pub(super) name: &'static str,
    pub(super) bytes: u64,
    pub(super) hash: FileHash,
}

impl Remote {
    pub(super) fn url_path(&self, file: &RemoteFile) -> String {
        path_of(&self.repository, &self.commit, file.name)
    }
}

fn path_of(repository: &str, revision: &str, name: &str) -> String {
    format!("/{repository}/resolve/{revision}/{name}")
}

/// `/api/models/…`, as far as it is needed.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Asks the hub which files there are.
pub(super) fn look_up(client: &Client<'_>, repository: &str, part: Part) -> Result<Remote, HubError> {
    let listing = listing(client, repository)?;
    // Mirrors may lack the API; then the first file that is asked for tells the commit.
    let mut commit = listing.as_ref().map(|listing| listing.sha.clone());
    let mut files = Vec::new();
    for wanted in part.wanted() {
        let found = find(client, repository, *wanted, listing.as_ref(), &mut commit)?;
        match found {
            Some(file) => files.push(file),
            None if wanted.is_optional => {}
            None => {
                let names = wanted.names.join(" nor ");
                return Err(HubError::NotFound {
                    what: format!("{repository}/{names}"),
                    endpoint: client.endpoint().origin(),
                    remedy: ": the repository is not the model it should be, or the mirror lacks files; try another mirror",
                });
            }
        }
    }
    match commit {
        Some(commit) => Ok(Remote { repository: repository.to_owned(), commit, files }),
        None => Err(not_a_hub(client, repository, "X-Repo-Commit")),
    }
}

/// The first of the file's names that the repository has.
fn find(
    client: &Client<'_>,
    repository: &str,
    wanted: Wanted,
    listing: Option<&Listing>,
    commit: &mut Option<String>,
) -> Result<Option<RemoteFile>, HubError> {
    for name in wanted.names {
        if listing.is_some_and(|listing| listing.siblings.iter().all(|file| file.rfilename != *name)) {
            continue;
        }
        let subject = Subject { repository, file: Some(name) };
        let revision = commit.as_deref().unwrap_or(REVISION);
        let url = client.endpoint().below(&path_of(repository, revision, name));
        match client.persist(|| client.head(&url, subject)) {
            Ok(answer) => {
                let (file, its_commit) = describe(client, &answer, repository, name, wanted.max_bytes)?;
                match commit {
                    Some(commit) if *commit != its_commit => {
                        return Err(HubError::server(
                            subject.name(),
                            format!("asked for commit {commit}, got {its_commit}"),
                        ));
                    }
                    _ => *commit = Some(its_commit),
                }
                return Ok(Some(file));
            }
            // Where nothing lists the files, a missing one is found by asking. A missing repository is no missing file.
            Err(HubError::NotFound { remedy: "", .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The list of files, or nothing where the hub has no API for it.
fn listing(client: &Client<'_>, repository: &str) -> Result<Option<Listing>, HubError> {
    let url = client.endpoint().below(&format!("/api/models/{repository}/revision/{REVISION}"));
    let subject = Subject { repository, file: None };
    let answered = client.persist(|| {
        let answer = client.get(&url, 0, subject)?;
        let mut bytes = Vec::new();
        let mut body = answer.into_body().into_reader().take(MAX_LISTING_BYTES);
        match body.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(Trouble::passing(client.unreachable(&url, error.to_string()))),
        }
    });
    let bytes = match answered {
        Ok(bytes) => bytes,
        Err(HubError::NotFound { remedy: "", .. }) => return Ok(None),
        Err(HubError::Server { what, problem }) => {
            tracing::debug!(what, problem, "no list of files, they are asked for one by one");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let listing = serde_json::from_slice(&bytes).ok().filter(|listing: &Listing| is_commit(&listing.sha));
    if listing.is_none() {
        tracing::debug!(%repository, "the list of files is none, they are asked for one by one");
    }
    Ok(listing)
}

/// Size, hash and commit of a file, as the hub's headers announce them.
fn describe(
    client: &Client<'_>,
    answer: &Answer,
    repository: &str,
    name: &'static str,
    max_bytes: u64,
) -> Result<(RemoteFile, String), HubError> {
    let what = format!("{repository}/{name}");
    let commit = answer
        .header_of_any("x-repo-commit")
        .filter(|commit| is_commit(commit))
        .ok_or_else(|| not_a_hub(client, &what, "X-Repo-Commit"))?;
    let hash = answer
        .header_of_any("x-linked-etag")
        .and_then(FileHash::parse)
        .or_else(|| answer.header_of_any("etag").and_then(FileHash::parse))
        .ok_or_else(|| not_a_hub(client, &what, "X-Linked-Etag or ETag with the file's hash"))?;
    let size = |name: &str| answer.header_of_any(name).and_then(|text| text.trim().parse::<u64>().ok());
    // The length of a redirect's own body would be no file's.
    let own_size = (answer.status() == 200).then(|| answer.header("content-length")).flatten();
    let bytes = size("x-linked-size")
        .or_else(|| own_size.and_then(|text| text.trim().parse().ok()))
        .ok_or_else(|| not_a_hub(client, &what, "X-Linked-Size or Content-Length"))?;
    if bytes > max_bytes {
        let origin = client.endpoint().origin();
        return Err(HubError::server(
            what,
            format!(
                "{origin} announces {bytes} bytes, and it can have {max_bytes} at most: try another mirror"
            ),
        ));
    }
    Ok((RemoteFile { name, bytes, hash }, commit.to_ascii_lowercase()))
}

fn not_a_hub(client: &Client<'_>, what: &str, header: &str) -> HubError {
    HubError::server(
        what,
        format!(
            "{} does not answer as a hub does (no {header}): is it a mirror of huggingface.co, or does the network \
             show a login page first",
            client.endpoint().origin()
        ),
    )
}
