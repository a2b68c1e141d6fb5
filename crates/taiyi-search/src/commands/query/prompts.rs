//! Where prompts come from: arguments, a file, or standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::flags::QueryFlags;

/// Prompts that are embedded in one batch: as many as are at hand, up to this.
const BATCH: usize = 32;

/// A source of prompts, read as far as it is there: a program that writes one prompt and waits for
/// the answer gets it.
pub(super) enum Prompts {
    Given(std::vec::IntoIter<String>),
    Lines { input: BufReader<Box<dyn Read>>, name: String, line: usize },
}

impl Prompts {
    pub(super) fn new(flags: &QueryFlags, has_other_terms: bool) -> anyhow::Result<Self> {
        let stdin = || -> Box<dyn Read> { Box::new(io::stdin()) };
        let lines = |input, name: String| Ok(Self::Lines { input: BufReader::new(input), name, line: 0 });
        if !flags.prompts.is_empty() {
            if flags.file.is_some() {
                bail!("prompts are given as arguments and with --file: use one of them");
            }
            return Ok(Self::Given(flags.prompts.clone().into_iter()));
        }
        match flags.file.as_deref() {
            Some(path) if path == Path::new("-") => lines(stdin(), "standard input".into()),
            Some(path) => {
                let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
                lines(Box::new(file), path.display().to_string())
            }
            // `--image cat.jpg` alone is a query: one, without a text of its own.
            None if has_other_terms => Ok(Self::Given(vec![String::new()].into_iter())),
            None if io::stdin().is_terminal() => {
                bail!("what should be looked for? Type a prompt, e.g. taiyi-search query 两只老虎")
            }
            None => lines(stdin(), "standard input".into()),
        }
    }

    /// Whether there may be more than one answer.
    pub(super) fn are_several(&self) -> bool {
        match self {
            Self::Given(prompts) => prompts.len() > 1,
            Self::Lines { .. } => true,
        }
    }

    /// The next prompts, at most a batch; none at the end.
    pub(super) fn next_batch(&mut self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Given(prompts) => Ok(prompts.take(BATCH).collect()),
            Self::Lines { input, name, line } => {
                let mut batch = Vec::new();
                // Waits only for the first: what has not arrived yet belongs to the next batch.
                while batch.is_empty() || (batch.len() < BATCH && input.buffer().contains(&b'\n')) {
                    let mut bytes = Vec::new();
                    if input.read_until(b'\n', &mut bytes).with_context(|| format!("cannot read {name}"))?
                        == 0
                    {
                        break;
                    }
                    *line += 1;
                    let Ok(text) = String::from_utf8(bytes) else {
                        bail!(
                            "line {line} of {name} is not UTF-8: convert it, e.g. with iconv -f gb18030 -t utf-8"
                        );
                    };
                    let text = text.trim_start_matches('\u{feff}').trim();
                    if !text.is_empty() {
                        batch.push(text.to_owned());
                    }
                }
                Ok(batch)
            }
        }
    }
}
