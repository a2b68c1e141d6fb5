//! The captions of a measurement: read, found their pictures on the disk, and then those that could be read.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use anyhow::bail;
use taiyi_store::RelativePath;

use super::candidates::{Candidates, PictureList};
use super::finder::{Ambiguous, Finder};
use super::layout::{self, Caption, PictureName};
use super::pictures::Pictures;
use crate::exit;
use crate::flags::CaptionLayout;
use crate::lines;
use crate::output::text::{count, escape_controls, show_path};

/// Captions as a file has them.
pub(super) struct Captions {
    path: PathBuf,
    /// What they are compared with.
    pub(super) candidates: Candidates,
    rows: Vec<Caption>,
}

impl Captions {
    /// `list`: the pictures to compare with, if somebody says so.
    pub(super) fn read(
        path: &Path,
        layout: Option<CaptionLayout>,
        images: &Path,
        list: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let (layout, rows) = layout::read(path, layout, images)?;
        let candidates = Candidates::find(list, path, layout)?;
        Ok(Self { path: path.to_owned(), candidates, rows })
    }

    fn place(&self, line: usize) -> String {
        lines::place(&self.path, line)
    }

    /// Finds the pictures among `files`, all that would be indexed below `images`.
    pub(super) fn find(&self, files: &HashSet<RelativePath>, images: &Path) -> anyhow::Result<FoundCaptions> {
        let finder = Finder::new(files);
        let (candidates, candidates_missing) = match &self.candidates {
            Candidates::Folder => (files.clone(), 0),
            Candidates::Captions => (HashSet::new(), 0),
            Candidates::List(list) => find_listed(list, &finder, images)?,
        };
        let mut found = FoundCaptions {
            path: self.path.clone(),
            candidates,
            candidates_missing,
            rows: Vec::new(),
            without_picture: 0,
            pictures_missing: 0,
        };
        let mut missing: BTreeSet<&str> = BTreeSet::new();
        let mut first = None;
        for row in &self.rows {
            let mut pictures = BTreeSet::new();
            for name in &row.pictures {
                match name {
                    PictureName::Path(path) if files.contains(path) => {
                        pictures.insert(path.clone());
                    }
                    PictureName::Path(path) => bail!(
                        "{}: {} is passed over: links, hidden and excluded files are, unless follow_links, hidden \
                         and exclude in config.toml say otherwise",
                        self.place(row.line),
                        show_path(&images.join(path.to_path()))
                    ),
                    PictureName::Name(name) => match finder.find(name) {
                        Ok(Some(path)) => {
                            pictures.insert(path.clone());
                        }
                        Ok(None) => {
                            missing.insert(name);
                            first.get_or_insert_with(|| {
                                format!("{}: {}", self.place(row.line), escape_controls(name))
                            });
                        }
                        Err(ambiguous) => {
                            bail!("{}: {}", self.place(row.line), told(&ambiguous, name, images))
                        }
                    },
                }
            }
            if pictures.is_empty() {
                found.without_picture += 1;
                continue;
            }
            match &self.candidates {
                Candidates::Folder => {}
                Candidates::Captions => found.candidates.extend(pictures.iter().cloned()),
                Candidates::List(list) => {
                    if let Some(unlisted) =
                        pictures.iter().find(|picture| !found.candidates.contains(picture))
                    {
                        bail!(
                            "{}: {} is not among the pictures to compare with, which {} lists: name the list that \
                             belongs to these captions with --candidates",
                            self.place(row.line),
                            show_path(&unlisted.to_path()),
                            show_path(list.path())
                        );
                    }
                }
            }
            let Caption { text, line, number, .. } = row.clone();
            found.rows.push(FoundCaption { text, line, number, pictures: pictures.into_iter().collect() });
        }
        found.pictures_missing = missing.len();
        if let Some(first) = first {
            let missing = count(missing.len() as u64, "picture is", "pictures are");
            if found.rows.is_empty() {
                bail!("none of the pictures is in {}; the first is {first}", show_path(images));
            }
            let captions = match found.without_picture {
                0 => "though every caption has another that is".to_owned(),
                n => format!("so that {} no part", count(n as u64, "caption takes", "captions take")),
            };
            exit::warn(&format!("{missing} not in {}, {captions}; the first is {first}", show_path(images)));
        }
        Ok(found)
    }
}

/// The files that a list names, and how many of its names have none.
fn find_listed(
    list: &PictureList,
    finder: &Finder<'_>,
    images: &Path,
) -> anyhow::Result<(HashSet<RelativePath>, usize)> {
    let (mut files, mut missing, mut first) = (HashSet::new(), 0, None);
    for (line, name) in &list.names {
        match finder.find(name) {
            Ok(Some(file)) => {
                files.insert(file.clone());
            }
            Ok(None) => {
                missing += 1;
                first.get_or_insert_with(|| format!("{}: {}", list.place(*line), escape_controls(name)));
            }
            Err(ambiguous) => bail!("{}: {}", list.place(*line), told(&ambiguous, name, images)),
        }
    }
    if let Some(first) = first {
        exit::warn(&format!(
            "{} that {} lists {} not in {}, which makes the task easier; the first is {first}",
            count(missing as u64, "picture", "pictures"),
            show_path(list.path()),
            if missing == 1 { "is" } else { "are" },
            show_path(images)
        ));
    }
    Ok((files, missing))
}

fn told(Ambiguous(a, b): &Ambiguous<'_>, name: &str, images: &Path) -> String {
    format!(
        "{} may be {} or {}: name it so that one is meant, or keep the other elsewhere",
        escape_controls(name),
        show_path(&images.join(a.to_path())),
        show_path(&images.join(b.to_path()))
    )
}

/// A caption whose pictures are there.
pub(super) struct FoundCaption {
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) number: Option<u64>,
    /// Below the folder of pictures; at least one.
    pub(super) pictures: Vec<RelativePath>,
}

/// Captions whose pictures are there.
pub(super) struct FoundCaptions {
    path: PathBuf,
    /// The files to compare with, those of the captions among them.
    pub(super) candidates: HashSet<RelativePath>,
    /// Pictures of the list that are not there.
    pub(super) candidates_missing: usize,
    rows: Vec<FoundCaption>,
    /// Captions none of whose pictures is there.
    pub(super) without_picture: usize,
    /// Pictures that captions name and that are not there.
    pub(super) pictures_missing: usize,
}

impl FoundCaptions {
    /// The captions that have a picture which could be read. The rest is told.
    pub(super) fn known(self, pictures: &Pictures, images: &Path) -> KnownCaptions {
        let mut known = KnownCaptions { rows: Vec::new(), right: Vec::new(), left_out: 0 };
        let mut first = None;
        for row in self.rows {
            let right: BTreeSet<usize> =
                row.pictures.iter().filter_map(|path| pictures.by_path.get(path).copied()).collect();
            if right.is_empty() {
                known.left_out += 1;
                first.get_or_insert_with(|| {
                    pictures.why_not(&self.path, row.line, row.pictures.first(), images)
                });
                continue;
            }
            known.right.push(right.into_iter().collect());
            known.rows.push(row);
        }
        if let Some(first) = first {
            exit::warn(&format!(
                "{} left out, since the picture could not be read; the first is {first}",
                count(known.left_out as u64, "caption was", "captions were")
            ));
        }
        known
    }
}

/// Captions that have a picture which could be read.
pub(super) struct KnownCaptions {
    pub(super) rows: Vec<FoundCaption>,
    /// The right pictures of each caption, ascending.
    pub(super) right: Vec<Vec<usize>>,
    /// How many captions are not among them, though their pictures are there.
    pub(super) left_out: usize,
}
