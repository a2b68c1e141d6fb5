//! What can be typed behind `eval`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{LabelFlags, SummaryFormat};

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
/// pictures, with --full-decode another one, and the captions beside, so that a second run is quick; changed pictures
/// are noticed as by `index`. With --index, pictures go into that index instead. --fresh begins anew, and the folder
/// may be deleted at any time.
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
