//! Text files that people write, whatever system they come from: lines in UTF-8, with their numbers.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

use crate::output::text::show_path;

/// The lines of a file that are not blank, each with its number from 1.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<(usize, String)>> {
    parse(path, &fs::read(path).with_context(|| format!("cannot read {}", show_path(path)))?)
}

/// The same from the bytes of the file in `path`.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Vec<(usize, String)>> {
    let lines = decode(path, bytes)?.split('\n').enumerate();
    Ok(lines
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(index, text)| (index + 1, text.to_owned()))
        .collect())
}

/// The text in the bytes of the file in `path`, without the mark that some systems put first.
pub(crate) fn decode<'a>(path: &Path, bytes: &'a [u8]) -> anyhow::Result<&'a str> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        bail!("{} is UTF-16: convert it, e.g. with iconv -f utf-16 -t utf-8", show_path(path));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes.iter().take(e.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        anyhow!("{} is not UTF-8: convert it, e.g. with iconv -f gb18030 -t utf-8", place(path, line))
    })
}

/// Names a line in a message.
pub(crate) fn place(path: &Path, line: usize) -> String {
    format!("line {line} of {}", show_path(path))
}
