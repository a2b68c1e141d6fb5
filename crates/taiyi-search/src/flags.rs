//! What can be typed, exactly as typed; [`crate::settings`] turns it into something valid.

mod eval;
mod exchange;
mod model;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use taiyi_core::Precision;

pub(crate) use eval::{CaptionLayout, ClassificationFlags, EvalFlags, PublishedSet, RetrievalFlags};
pub(crate) use exchange::{CollectionFormat, ExportFlags, ImportFlags, NumberType};
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
    /// Threads for all that takes long: decoding, the model, graphs, scans [default: one a processor]
    /// [env: TAIYI_THREADS]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Where pictures are embedded: cpu, cuda, or cuda:1 for the second card; prompts always are on the CPU
    /// [default: cpu]
    #[cfg(feature = "cuda")]
    #[arg(long, global = true, value_name = "DEVICE", value_parser = device_parser)]
    pub(crate) device: Option<taiyi_model::Device>,
    /// Decode large JPEGs whole: slower, and the embedding of a photo differs by less than 0.002 of a
    /// cosine. Pictures that are in the index keep the embedding they have [env: TAIYI_FULL_DECODE]
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
    /// Labels from a file in UTF-8: a label a line, commas and all, or a class, a tab, and its label; classes may share
    /// a label, and cannot be told apart then
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
