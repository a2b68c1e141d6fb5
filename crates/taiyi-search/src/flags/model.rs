//! What can be typed behind `model`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SummaryFormat;

/// The models: which there are, and bringing, checking and removing them
#[derive(Debug, Subcommand)]
pub(crate) enum ModelFlags {
    List(ListFlags),
    Fetch(FetchFlags),
    Show(ShowFlags),
    Verify(VerifyModelFlags),
    Import(ImportModelFlags),
    Remove(RemoveModelFlags),
}

/// Which models have a name, how large they are, and where they lie.
#[derive(Args, Debug)]
pub(crate) struct ListFlags {
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

/// Fetch a published model from huggingface.co or a mirror.
///
/// Only the files that are needed, into the cache that Python's huggingface_hub uses, so that neither fetches what the
/// other has. Size and hash of every file are checked. Broken off, by Ctrl-C too, it goes on from there the next
/// time. Where huggingface.co cannot be reached, as in much of China: `--mirror https://hf-mirror.com`. HF_ENDPOINT,
/// HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY mean what they
/// mean elsewhere. HF_TOKEN is sent to the hub that is asked, by https, or by http to this very machine; a token that a
/// login has left on disk goes to `https://huggingface.co` alone; HF_HUB_DISABLE_IMPLICIT_TOKEN keeps both back. A
/// company's own certificate authority is believed when the system does, or when SSL_CERT_FILE, SSL_CERT_DIR or
/// REQUESTS_CA_BUNDLE names it.
#[derive(Args, Debug)]
pub(crate) struct FetchFlags {
    /// Which one: a name that `model list` shows
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Make this folder instead, to carry it to a machine without network; there: `model import DIR --as NAME`
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// The hub to fetch from, e.g. `https://hf-mirror.com` [default: `https://huggingface.co`] [env: HF_ENDPOINT]
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<String>,
}

/// Say what a model is made of, and where its files lie.
#[derive(Args, Debug)]
pub(crate) struct ShowFlags {
    /// A name that `model list` shows, or a folder
    #[arg(value_name = "NAME|DIR")]
    pub(crate) model: String,
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

/// Read a model's files again and compare them with the hashes by which they came.
///
/// Then both towers are loaded. Exit status: 0 if all is well, 1 if something is damaged or gone. Files that were put
/// into place by hand have no hash to compare with, which is told.
#[derive(Args, Debug)]
pub(crate) struct VerifyModelFlags {
    /// A name that `model list` shows, or a folder
    #[arg(value_name = "NAME|DIR")]
    pub(crate) model: String,
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

/// Copy a folder of model files into the program's own folder of models.
///
/// What `model fetch --to` has made, a folder with text/ and image/, or one that holds a whole Chinese-CLIP: each with
/// config.json, model.safetensors or pytorch_model.bin, and vocab.txt. It is checked first, and copied whole or not
/// at all. A published model's name is only for files of that model's kind and sizes.
#[derive(Args, Debug)]
pub(crate) struct ImportModelFlags {
    /// The folder; with --image, that of the text tower
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The name to use it by: a published model's, or one of your own
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: String,
    /// The folder of the image tower, where that is another one
    #[arg(long, value_name = "DIR")]
    pub(crate) image: Option<PathBuf>,
}

/// Remove a model's files.
///
/// Only what is this model's: a repository that another model here needs stays. Of the cache that Python uses as well, the
/// configuration, vocabulary and weights go, in either format and whoever fetched them; other files stay. Asks before,
/// on a terminal.
#[derive(Args, Debug)]
pub(crate) struct RemoveModelFlags {
    /// A name that `model list` shows
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}
