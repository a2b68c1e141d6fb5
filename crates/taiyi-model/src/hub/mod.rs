//! Models from a Hugging Face hub or a mirror of one, by way of the cache that Python's `huggingface_hub` uses.
//!
//! The cache is read and written in its own layout, so neither side fetches what the other has. Every file is checked
//! against the hash that the hub announces before it counts, and a repository's files come from one commit.
//! Environment variables are the caller's business: everything is handed over in [`HubOptions`].

mod authorities;
mod cache;
mod download;
mod error;
mod fetch;
mod hash;
mod http;
mod lock;
mod login;
mod options;
mod progress;
mod proxies;
mod remote;
mod space;
mod target;
mod url;
mod wanted;

pub use authorities::Authorities;
pub use error::HubError;
pub use fetch::{fetch, fetch_to};
pub use login::Login;
pub use options::{DEFAULT_ENDPOINT, HubOptions};
pub use progress::{FetchEvent, FetchProgress};
pub use proxies::Proxies;

pub(crate) use cache::{CachedFile, RepositoryCache};
pub(crate) use hash::{FileHash, Hasher};
pub(crate) use space::check_space;
pub(crate) use wanted::Part;
