//! Hits in the forms of `query --format`.

use std::cell::LazyCell;
use std::io::{self, Write};
use std::path::Path;

use jiff::tz::TimeZone;
use taiyi_query::Hit;

use crate::flags::HitFormat;
use crate::output::json::{self, Took};
use crate::output::table::{Align, align};
use crate::output::text;

/// Writes one answer after another to standard output.
pub(crate) struct HitWriter<W> {
    out: W,
    format: HitFormat,
    nul: bool,
    model: String,
    /// Looking it up reads through the system's whole list of zones, and paths need none.
    zone: LazyCell<TimeZone>,
    /// Whether each table is headed by its prompt: needed as soon as there are several.
    headed: bool,
    written: usize,
}

impl<W: Write> HitWriter<W> {
    pub(crate) fn new(out: W, format: HitFormat, nul: bool, model: String, headed: bool) -> Self {
        Self { out, format, nul, model, zone: LazyCell::new(TimeZone::system), headed, written: 0 }
    }

    /// Writes the hits of one prompt, and lets a reader at the other end of a pipe have them at once.
    pub(crate) fn answer(&mut self, prompt: &str, hits: &[Hit], took: Took) -> io::Result<()> {
        match self.format {
            HitFormat::Table => self.table(prompt, hits)?,
            HitFormat::Paths => {
                for hit in hits {
                    write_path(&mut self.out, &hit.picture.path)?;
                    self.out.write_all(if self.nul { b"\0" } else { b"\n" })?;
                }
            }
            HitFormat::Tsv => {
                for hit in hits {
                    write!(self.out, "{}\t{:.6}\t", hit.rank, hit.score.get())?;
                    self.out.write_all(&escape_tsv(hit.picture.path.as_os_str().as_encoded_bytes()))?;
                    self.out.write_all(b"\t")?;
                    self.out.write_all(&escape_tsv(prompt.as_bytes()))?;
                    self.out.write_all(b"\n")?;
                }
            }
            HitFormat::Json => {
                let line = json::answer(prompt, &self.model, hits, took, &self.zone);
                writeln!(self.out, "{line}")?;
            }
        }
        self.written += 1;
        self.out.flush()
    }

    /// Keeps the lines of a JSON answer in step with the prompts when one of them fails.
    pub(crate) fn failure(&mut self, prompt: &str, error: &str) -> io::Result<()> {
        if self.format == HitFormat::Json {
            writeln!(self.out, "{}", json::failure(prompt, &self.model, error))?;
        }
        self.written += 1;
        self.out.flush()
    }

    fn table(&mut self, prompt: &str, hits: &[Hit]) -> io::Result<()> {
        if self.headed {
            let gap = if self.written > 0 { "\n" } else { "" };
            writeln!(self.out, "{gap}\u{1b}[1m{}\u{1b}[0m", text::escape_controls(prompt))?;
        }
        if hits.is_empty() {
            return writeln!(self.out, "nothing found");
        }
        let mut rows = vec![["#", "score", "date", "size", "path"].map(str::to_owned).to_vec()];
        for hit in hits {
            let copies = match hit.picture.copies.len() {
                0 => String::new(),
                n => format!("  (+{})", text::count(n as u64, "copy", "copies")),
            };
            rows.push(vec![
                hit.rank.to_string(),
                format!("{:.3}", hit.score.get()),
                text::day(&hit.picture, &self.zone),
                hit.picture.metadata.size().map_or_else(String::new, |(w, h)| format!("{w}×{h}")),
                format!("{}{copies}", text::show_path(&hit.picture.path)),
            ]);
        }
        let lines = align(&[Align::Right, Align::Right, Align::Left, Align::Right, Align::Left], &rows);
        for (index, line) in lines.iter().enumerate() {
            if index == 0 {
                writeln!(self.out, "\u{1b}[2m{line}\u{1b}[0m")?;
            } else {
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(())
    }
}

/// The very bytes of the path, so that what reads them finds the file.
fn write_path(out: &mut impl Write, path: &Path) -> io::Result<()> {
    out.write_all(path.as_os_str().as_encoded_bytes())
}

fn escape_tsv(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\t' => escaped.extend_from_slice(b"\\t"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::path::PathBuf;
    use taiyi_core::{ImageFormat, Orientation, PhotoMetadata, Score};
    use taiyi_query::{ContentHash, Picture, RowTime};

    fn hit(rank: usize, path: &str, copies: &[&str]) -> Hit {
        Hit {
            rank,
            score: Score::new(0.5 / rank as f32),
            picture: Picture {
                path: PathBuf::from(path),
                copies: copies.iter().map(PathBuf::from).collect(),
                metadata: PhotoMetadata {
                    width: 640,
                    height: 480,
                    format: Some(ImageFormat::Jpeg),
                    orientation: Orientation::Upright,
                    taken_s: Some(1_682_899_200),
                    taken_offset_min: None,
                    gps: None,
                    camera: None,
                },
                time: Some(RowTime::Taken(1_682_899_200)),
                content: ContentHash([rank as u8; 32]),
            },
        }
    }

    fn written(format: HitFormat, nul: bool, hits: &[Hit]) -> String {
        let mut out = Vec::new();
        let mut writer = HitWriter::new(&mut out, format, nul, "demo".into(), false);
        writer.answer("两只老虎", hits, Took::default()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_form() {
        let hits = [hit(1, "/照片/老虎.jpg", &["/备份/老虎.jpg"]), hit(2, "/a\tb.png", &[])];
        assert_eq!(written(HitFormat::Paths, false, &hits), "/照片/老虎.jpg\n/a\tb.png\n");
        assert_eq!(written(HitFormat::Paths, true, &hits), "/照片/老虎.jpg\0/a\tb.png\0");
        assert_eq!(
            written(HitFormat::Tsv, false, &hits),
            "1\t0.500000\t/照片/老虎.jpg\t两只老虎\n2\t0.250000\t/a\\tb.png\t两只老虎\n"
        );
        let table = written(HitFormat::Table, false, &hits);
        assert!(table.contains("1  0.500  2023-05-01  640×480  /照片/老虎.jpg  (+1 copy)"), "{table}");
        assert!(table.contains("/a\\tb.png"), "{table}");
        let line: serde_json::Value = serde_json::from_str(&written(HitFormat::Json, false, &hits)).unwrap();
        assert_eq!(line["prompt"], "两只老虎");
        assert_eq!(line["hits"][0]["copies"][0], "/备份/老虎.jpg");
        assert_eq!(line["hits"][0]["taken"], "2023-05-01T00:00:00");
        assert_eq!(line["hits"][1]["score"], 0.25);
        let keys: HashSet<&str> = line["took_ms"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, HashSet::from(["load", "encode", "search"]));
    }
}
