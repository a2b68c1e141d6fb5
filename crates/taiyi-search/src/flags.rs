//! What can be typed, exactly as typed; [`crate::settings`] turns it into something valid.

mod model;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use taiyi_core::Precision;

pub(crate) use model::{
    FetchFlags, ImportModelFlags, ListFlags, ModelFlags, RemoveModelFlags, ShowFlags, VerifyModelFlags,
};

/// Search your own pictures with Chinese sentences, on your own machine.
///
/// `taiyi-search demo` shows what it is. Then `taiyi-search index ./photos`, then `taiyi-search`: type 两只老虎
/// and see the pictures. In scripts: `taiyi-search query 两只老虎`.
#[derive(Debug, Parser)]
#[command(name = "taiyi-search", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalFlags,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct GlobalFlags {
    /// Folder of the index [default: taiyi-search/index in the platform's data folder]
    /// [env: TAIYI_INDEX]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) index: Option<PathBuf>,
    /// Model: a name (see `model list`), or a folder with text/ and image/ or a whole Chinese-CLIP in it
    /// [default: the index's own; for a new index taiyi-102m] [env: TAIYI_MODEL]
    #[arg(long, global = true, value_name = "NAME|DIR")]
    pub(crate) model: Option<String>,
    /// What the model computes in: f32, or int8, which takes a quarter of the memory and less time for nearly the
    /// same results [default: the index's own; for a new index f32] [env: TAIYI_PRECISION]
    #[arg(long, global = true, value_name = "PRECISION", value_parser = precision_parser())]
    pub(crate) precision: Option<Precision>,
    /// Threads for decoding and for the model [default: one a processor]
    /// [env: TAIYI_THREADS]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Where pictures are embedded: cpu, cuda, or cuda:1 for the second card; prompts always are on the CPU
    /// [default: cpu]
    #[cfg(feature = "cuda")]
    #[arg(long, global = true, value_name = "DEVICE", value_parser = device_parser)]
    pub(crate) device: Option<taiyi_model::Device>,
    /// Decode large JPEGs whole: slower, and an embedding differs by less than 0.002 of a cosine. Pictures that are in the index
    /// keep the embedding they have [env: TAIYI_FULL_DECODE]
    #[arg(long, global = true)]
    pub(crate) full_decode: bool,
    /// Say more on standard error; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but errors on standard error
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Colours
    #[arg(long, global = true, value_name = "WHEN", value_enum)]
    pub(crate) color: Option<When>,
}

#[cfg(feature = "cuda")]
fn device_parser(name: &str) -> Result<taiyi_model::Device, String> {
    taiyi_model::Device::from_name(name).ok_or_else(|| "expected cpu, cuda or cuda:1".to_owned())
}

fn precision_parser() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::name))
        .try_map(|name| Precision::from_name(&name).ok_or("no such precision"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

// What a command does is told by its flags: a line here would replace the whole of it, also in the long help.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoFlags),
    Index(IndexFlags),
    Tui(TuiFlags),
    Query(QueryFlags),
    Classify(ClassifyFlags),
    Embed(EmbedFlags),
    Status(StatusFlags),
    Verify(VerifyFlags),
    Remove(RemoveFlags),
    Export(ExportFlags),
    Import(ImportFlags),
    /// Measure a model on pictures with known answers
    #[command(subcommand)]
    Eval(EvalFlags),
    #[command(subcommand)]
    Model(ModelFlags),
    Completions(CompletionsFlags),
}

/// Try it at once: a small model and 300 drawn pictures are part of the program.
///
/// Writes the pictures into the cache folder and indexes them there. Then, on a terminal, you search in them
/// as with `tui`; elsewhere, or with prompts, it prints what it finds. The model knows drawn scenes of emoji and
/// nothing else. Your own index is not touched; --index and --model mean nothing here.
#[derive(Args, Debug)]
pub(crate) struct DemoFlags {
    /// What to look for [default: on a terminal, whatever you type; elsewhere 两只老虎 and a few more]
    #[arg(value_name = "PROMPT")]
    pub(crate) prompts: Vec<String>,
    /// How many hits a prompt, at most
    #[arg(short = 'k', long = "top", value_name = "N", default_value_t = 3)]
    pub(crate) k: usize,
    /// Form of the answer: tables, or one JSON object a prompt as from `query`
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

/// Make or renew the index of folders and files.
///
/// Files that have not changed since the last time cost nothing; renamed, moved and copied ones are
/// recognised by their content. A file that cannot be read is reported, remembered, and never stops
/// the rest. Ctrl-C stops after the batch at hand; the next run goes on from there. Nothing is ever
/// written into the folders that are indexed.
#[derive(Args, Debug)]
pub(crate) struct IndexFlags {
    /// Folders, with all below them, or single files [default: all folders indexed before]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Follow symbolic links
    #[arg(long)]
    pub(crate) follow_links: bool,
    /// Take hidden files too, and @eaDir, .git, node_modules, System Volume Information, $RECYCLE.BIN
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Leave out what matches, e.g. '*.gif' or '草稿/**'; repeatable
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Refuse pictures of more megapixels than this, before decoding them [default: 200]
    #[arg(long, value_name = "N")]
    pub(crate) max_megapixels: Option<u64>,
    /// Try files again that failed before, even if they have not changed
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Embed everything anew, e.g. with another model
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// Only say what would be done
    #[arg(long, conflicts_with = "rebuild")]
    pub(crate) dry_run: bool,
    /// Pictures in a batch of the model
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) batch_images: u16,
    /// Form of the summary
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SummaryFormat {
    /// Lines to read
    Text,
    /// One JSON object
    Json,
}

/// Find pictures by a sentence, by a picture, or by a sum of both.
///
/// A prompt may be a sum: '2:海边 + 日落 - 人' (full-width ＋－： too), with '@cat.jpg' for a picture and
/// path:旅行/ after:2023-05 before:2024 to narrow it down. Several prompts give one list each;
/// one that begins with - goes behind --.
/// Exit status: 0 if something was found, 1 if nothing, 2 if something went wrong.
#[derive(Args, Debug, Default)]
pub(crate) struct QueryFlags {
    /// What to look for, e.g. 两只老虎
    #[arg(value_name = "PROMPT")]
    pub(crate) prompts: Vec<String>,
    /// Prompts from a file, one a line; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Look for what resembles this picture; repeatable, and added to every prompt
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,
    /// Add a text to every prompt, e.g. 日落 or 2:日落; repeatable
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) plus: Vec<String>,
    /// Subtract a text from every prompt, e.g. 人 or 0.5:人; repeatable
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) minus: Vec<String>,
    /// Take prompts as plain sentences: no operators, weights or filters in them
    #[arg(long)]
    pub(crate) literal: bool,
    /// Cut prompts that are longer than the model reads, instead of refusing them
    #[arg(long)]
    pub(crate) truncate: bool,
    /// How many hits, at most
    #[arg(short = 'k', long = "top", value_name = "N", default_value_t = 10)]
    pub(crate) k: usize,
    /// Leave out hits below this score (cosine, -1 to 1)
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    pub(crate) min_score: Option<f32>,
    /// Only pictures whose path fits, e.g. 旅行/ or '*.png'; repeatable, all must fit
    #[arg(long, value_name = "GLOB")]
    pub(crate) path: Vec<String>,
    /// Only pictures of this day or later, e.g. 2023, 2023-05, 2023年5月1日
    #[arg(long, value_name = "DATE")]
    pub(crate) after: Option<String>,
    /// Only pictures before this day
    #[arg(long, value_name = "DATE")]
    pub(crate) before: Option<String>,
    /// Compare with every picture instead of walking the graph
    #[arg(long)]
    pub(crate) exact: bool,
    /// Form of the answer [default: table on a terminal, else paths]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<HitFormat>,
    /// End paths with NUL instead of a newline, for xargs -0 (implies --format paths)
    #[arg(short = '0', long = "null")]
    pub(crate) null: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HitFormat {
    /// Aligned columns to read
    Table,
    /// One path a line
    Paths,
    /// rank, score, path, prompt; tabs, newlines and backslashes written as \t, \n, \\
    Tsv,
    /// One JSON object a prompt, each on its own line
    Json,
}

/// Search as you type, and see the pictures; also without any command.
///
/// F1 shows the keys. Tab marks pictures; on leaving, the marked paths go to standard output, so
/// `taiyi-search tui | xargs -d '\n' cp -t chosen/` works. Keys, colours and more are set in the table `tui` of
/// the config file. What happens is logged to tui.log in the cache folder, more of it with -v.
#[derive(Args, Debug, Default)]
pub(crate) struct TuiFlags {
    /// End marked paths with NUL instead of a newline, for xargs -0
    #[arg(short = '0', long = "null")]
    pub(crate) null: bool,
}

/// Say which of several labels fits a picture.
///
/// As in the model card: the probability of a label is the softmax, over all labels given, of 100 times the
/// cosine of picture and label. So it says how much better a label fits than the others, and some label is
/// always the best one. A label alone gets its cosine and no probability: among one, that would always be 1.
/// Exit status: 0, or 2 if something went wrong, such as a picture that cannot be read; the others still count.
#[derive(Args, Debug)]
pub(crate) struct ClassifyFlags {
    /// Pictures
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    /// How many labels a picture, at most; probabilities are among all of them
    #[arg(short = 'k', long = "top", value_name = "N", default_value_t = 5)]
    pub(crate) k: usize,
    /// Pad texts as the model card's example code does: all texts are one batch, padded to the longest, and the
    /// padding is attended to. Reproduces the numbers of the card, where a label's vector depends on the others
    #[arg(long)]
    pub(crate) reference_padding: bool,
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LabelFormat::Table)]
    pub(crate) format: LabelFormat,
}

// Labels, and how they become texts. (A doc comment would replace what the commands say of themselves.)
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("source of labels").required(true).args(["labels", "labels_file"])))]
pub(crate) struct LabelFlags {
    /// Labels, e.g. 一只猫,一只狗,两只猫; the commas ， and 、 part them too; repeatable
    #[arg(long, value_name = "LABEL,…", allow_hyphen_values = true)]
    pub(crate) labels: Vec<String>,
    /// Labels from a file in UTF-8: a label a line, commas and all, or a class, a tab, and its label
    #[arg(long, value_name = "FILE")]
    pub(crate) labels_file: Option<PathBuf>,
    /// Put each label into this text in place of {}, e.g. 一张{}的照片; repeatable: the unit vectors of a label's
    /// texts are averaged, and the average is scaled to unit length again [default: {}]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) template: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabelFormat {
    /// Aligned columns to read
    Table,
    /// One JSON object a picture, each on its own line
    Json,
}

/// Print the vectors of texts and pictures.
///
/// Unit vectors, as the index holds them: texts first, then pictures, each in the order given.
#[derive(Args, Debug)]
pub(crate) struct EmbedFlags {
    /// A text; repeatable
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, required_unless_present = "image")]
    pub(crate) text: Vec<String>,
    /// A picture; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = VectorFormat::Json)]
    pub(crate) format: VectorFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VectorFormat {
    /// One JSON object a vector, each on its own line
    Json,
    /// One NumPy array, f32, a row a vector
    Npy,
}

/// Say what is in the index.
///
/// Folders, counts, model, size, failed files.
#[derive(Args, Debug)]
pub(crate) struct StatusFlags {
    /// List every failed file with the reason
    #[arg(long)]
    pub(crate) failed: bool,
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

/// Check every byte of the index.
///
/// Its checksums, and that ledger and generation agree. Says what is broken and how to mend it. Exit status: 0
/// if all is well, 1 if something is broken.
#[derive(Args, Debug)]
pub(crate) struct VerifyFlags {
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

/// Take folders or files out of the index; the files themselves stay.
#[derive(Args, Debug)]
pub(crate) struct RemoveFlags {
    /// Folders or files; they need not be there any more
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
}

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
/// where they are there, so that what `export` wrote comes back. The embeddings must be of the model that --model names, or of the index's own: the files do not say which one made them. All rows
/// are checked before anything is written. The pictures need not be there; where they are, the next `index` of
/// their folder reads them, and what it finds takes the place of what was imported. What `index` has read already
/// stays. Ctrl-C stops after the batch at hand; the same command again goes on from there, and changes nothing
/// once it is through.
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

/// Measure a model on pictures with known answers
#[derive(Debug, Subcommand)]
pub(crate) enum EvalFlags {
    Retrieval(RetrievalFlags),
    Classification(ClassificationFlags),
}

/// How well captions find their pictures, and pictures their captions.
///
/// R@k, the mean recall (of R@1, R@5 and R@10), the mean reciprocal rank (MRR) and the median rank. Text → image: each
/// caption is a query, found within k when one of its right pictures is among the first k. Image → text, where every
/// picture has a caption: a picture counts at the rank of the best of its captions. Equal scores count against the
/// right answer. Files with the same content are one picture; rows of a TSV that repeat another count once. Pictures
/// that a layout other than tsv names and that are not there are told, and take no part.
///
/// What a caption is compared with: the pictures that --candidates lists; for muge else those of the list beside the
/// captions, valid_imgs.tsv of valid_texts.jsonl, if there is one; for tsv and muge else all pictures below --images,
/// those without a caption included; for the other layouts those that captions name. The answer says which.
///
/// What was embedded is kept in taiyi-search/eval in the cache folder, one index for each model and folder of
/// pictures, and the captions beside, so that a second run is quick; changed pictures are noticed as by `index`. With
/// --index, pictures go into that index instead. --fresh begins anew, and the folder may be deleted at any time.
///
/// The model is that of --model, else the index's own, else the default.
#[derive(Args, Debug)]
pub(crate) struct RetrievalFlags {
    /// Folder of the pictures. For muge, files named by their number: MUGE's own form is unpacked with
    /// python3 -c "import base64,sys;[open(f'{int(i)}.jpg','wb').write(base64.urlsafe_b64decode(b)) for i,b in
    /// (l.split('\t') for l in sys.stdin)]" < valid_imgs.tsv
    #[arg(long, value_name = "DIR")]
    pub(crate) images: PathBuf,
    /// Captions in UTF-8, in one of the layouts; a picture may have several
    #[arg(long, value_name = "FILE")]
    pub(crate) captions: PathBuf,
    /// Form of the captions [default: told by the file's name, else by its first line]
    #[arg(long, value_name = "LAYOUT", value_enum)]
    pub(crate) layout: Option<CaptionLayout>,
    /// Pictures to compare with, the name of one a line; what stands behind a tab is passed over
    #[arg(long, value_name = "FILE")]
    pub(crate) candidates: Option<PathBuf>,
    /// The k of R@k
    #[arg(short, value_name = "K,…", value_delimiter = ',', default_value = "1,5,10",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) k: Vec<u32>,
    /// Show what the model's authors measured on this set, and the difference
    #[arg(long, value_name = "SET", value_enum)]
    pub(crate) published: Option<PublishedSet>,
    /// Write texts.jsonl, predictions.jsonl and their .tr and tr_ counterparts for the evaluation scripts of
    /// Chinese-CLIP, with the first 10 answers to each query, and images.tsv with the number of each picture
    #[arg(long, value_name = "DIR")]
    pub(crate) export: Option<PathBuf>,
    /// Replace files that an earlier --export has written
    #[arg(long, requires = "export")]
    pub(crate) overwrite: bool,
    /// Embed everything anew, whatever is in the cache
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CaptionLayout {
    /// Path of a picture below DIR, a tab, a caption
    Tsv,
    /// picture#number, a tab or a blank, a caption
    #[value(name = "coco-cn")]
    CocoCn,
    /// As coco-cn
    #[value(name = "flickr30k-cna")]
    Flickr30kCna,
    /// CSV with the columns dir (or url) and caption
    Wukong,
    /// A JSON object a line with query_id, query_text, item_ids, or text_id, text, image_ids, as Chinese-CLIP has it
    Muge,
}

/// A set that the authors of models have measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublishedSet {
    #[value(name = "coco-cn")]
    CocoCn,
    #[value(name = "wukong50k")]
    Wukong50k,
    #[value(name = "flickr30k-cna")]
    Flickr30kCna,
    /// Classes: for eval classification
    #[value(name = "imagenet1k-cn")]
    Imagenet1kCn,
}

impl std::fmt::Display for PublishedSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CocoCn => "coco-cn",
            Self::Wukong50k => "wukong50k",
            Self::Flickr30kCna => "flickr30k-cna",
            Self::Imagenet1kCn => "imagenet1k-cn",
        })
    }
}

/// How often the label that fits a picture best is the right one.
///
/// Each picture is compared with every label, labels without pictures included; top-k is the share of pictures
/// whose own label is among the k that fit best. Equal scores count against the right label. The class of a
/// picture is the folder of --images that it lies in, at whatever depth, or what --classes says. Files with
/// the same content are one picture; in several classes, it counts once in each. Pictures of a class without a
/// label take no part. Top-1 and top-5 over all are shares of pictures, so that large classes weigh more. The
/// model is that of --model, else the index's own, else the default. Pictures that were embedded are kept as by
/// eval retrieval.
#[derive(Args, Debug)]
pub(crate) struct ClassificationFlags {
    /// Folder of the pictures: a folder in it for each class, unless --classes is given
    #[arg(long, value_name = "DIR")]
    pub(crate) images: PathBuf,
    /// Table in UTF-8, a line each: path of a picture below DIR, a tab, its class
    #[arg(long, value_name = "TSV")]
    pub(crate) classes: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    /// Show what the model's authors measured on this set, and the difference
    #[arg(long, value_name = "SET", value_enum)]
    pub(crate) published: Option<PublishedSet>,
    /// Embed every picture anew, whatever is in the cache
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) format: SummaryFormat,
}

/// Print a completion script for a shell.
#[derive(Args, Debug)]
pub(crate) struct CompletionsFlags {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_long_help_tells_what_the_short_one_leaves_out() {
        for (path, detail) in [
            (&["index"][..], "Ctrl-C stops after the batch at hand"),
            (&["query"], "one that begins with - goes behind --"),
            (&["classify"], "among one, that would always be 1"),
            (&["model", "fetch"], "--mirror https://hf-mirror.com"),
            (&["model", "remove"], "a repository that another model here needs stays"),
            (&["eval", "retrieval"], "Equal scores count against the right answer"),
            (&["eval", "classification"], "Equal scores count against the right label"),
        ] {
            let mut command = Cli::command();
            for name in path {
                command = command.find_subcommand(name).unwrap().clone();
            }
            let long = command.get_long_about().unwrap().to_string();
            assert!(long.replace('\n', " ").contains(detail), "{long}");
            assert!(!command.get_about().unwrap().to_string().contains(detail));
        }
    }
}
