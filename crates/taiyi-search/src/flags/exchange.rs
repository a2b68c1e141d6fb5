//! What can be typed behind `export` and `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::SummaryFormat;

/// Write the embeddings of the index as a collection for other programs.
///
/// The folder gets clip-retrieval's layout: img_emb/img_emb_N.npy, a NumPy array with a unit vector a row, and
/// beside it metadata/metadata_N.parquet with image_path (absolute), width, height, taken (as the camera's clock
/// showed it) and blake3 (of the file). A file of the index is a row, so copies are rows of their own. The folder
/// comes to be whole or not at all, and grows beside its place as .DIR.part, which the next export of the same DIR
/// clears if this one is killed. File names that are not UTF-8 are left out, since tables hold text, and told.
/// Exit status: 0, or 2 if something went wrong or was left out.
#[derive(Args, Debug)]
pub(crate) struct ExportFlags {
    /// Folder to make; it must not be there yet
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Layout of the folder
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = CollectionFormat::Npy)]
    pub(crate) format: CollectionFormat,
    /// Type of the numbers: f16 as clip-retrieval has it, or f32, which is the index's own, bit for bit
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = NumberType::F16)]
    pub(crate) dtype: NumberType,
    /// Rows of a file, at most
    #[arg(long, value_name = "N", default_value = "100000")]
    pub(crate) part_rows: std::num::NonZeroU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CollectionFormat {
    /// NumPy arrays beside Parquet tables
    Npy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NumberType {
    /// 2 bytes a number
    F16,
    /// 4 bytes a number
    F32,
}

/// Take in a collection of embeddings, so that it can be searched without the pictures.
///
/// Reads clip-retrieval's layout (see `export`), f16 or f32; of the tables, image_path, and width, height and taken
/// where they are there, so that what `export` wrote comes back. The embeddings must be of the model that --model
/// names, or of the index's own: the files do not say which one made them. All rows are checked before anything is
/// written. The pictures need not be there; where they are, the next `index` of their folder reads them, and what it
/// finds takes the place of what was imported. What `index` has read already stays. Size and time stay those that came
/// first with an embedding: to bring others, `remove` the pictures before. Ctrl-C stops after the batch at hand; the
/// same command again goes on from there, and changes nothing once it is through.
#[derive(Args, Debug)]
pub(crate) struct ImportFlags {
    /// Folder with img_emb and metadata in it
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Folder that relative paths of pictures begin at
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Folder to take off the paths of pictures that have moved since; what is left begins at --root
    #[arg(long, value_name = "FOLDER", requires = "root")]
    pub(crate) strip: Option<PathBuf>,
    /// Form of the summary
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}
