//! Text to token ids, as BERT's tokenizer in transformers makes them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model};

use crate::ModelError;
use crate::config::read_json;
use crate::files::Files;

const UNKNOWN: &str = "[UNK]";
const SEPARATOR: &str = "[SEP]";
const PADDING: &str = "[PAD]";
const CLASSIFY: &str = "[CLS]";
const MASK: &str = "[MASK]";

/// A longer run of letters becomes one `[UNK]`.
const MAX_WORD_CHARS: usize = 100;

/// A tokenizer with the limits of its tower.
pub(crate) struct Tokenizer {
    tokenizer: tokenizers::Tokenizer,
    path: PathBuf,
    separator: u32,
    padding: u32,
    max_tokens: usize,
}

/// The file that decides how text is split: `vocab.txt`, else `tokenizer.json`.
pub(crate) fn file_in(files: Files, dir: &Path) -> Result<PathBuf, ModelError> {
    for name in ["vocab.txt", "tokenizer.json"] {
        let path = dir.join(name);
        if files.exists(&path) {
            return Ok(path);
        }
    }
    Err(ModelError::NotFound(format!("{} has no vocabulary: put vocab.txt there", dir.display())))
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// The entries of a `vocab.txt`: one a line, the first has id 0.
fn read_vocabulary(files: Files, path: &Path) -> Result<Vec<String>, ModelError> {
    let bytes = files.read(path).map_err(|error| ModelError::io(path, error))?;
    let text =
        String::from_utf8(bytes.into_owned()).map_err(|_| ModelError::corrupt(path, "it is not UTF-8"))?;
    // Not `str::lines`: entries are what stands between line feeds, and a few are odd white space.
    let mut entries: Vec<String> =
        text.split('\n').map(|entry| entry.strip_suffix('\r').unwrap_or(entry).to_owned()).collect();
    if entries.last().is_some_and(String::is_empty) {
        entries.pop();
    }
    Ok(entries)
}

impl Tokenizer {
    /// Reads `path` for a tower with `vocabulary` rows of word embeddings and `max_tokens` positions.
    pub(crate) fn read(
        files: Files,
        path: &Path,
        vocabulary: usize,
        max_tokens: usize,
    ) -> Result<Self, ModelError> {
        let (tokenizer, largest) =
            if is_json(path) { from_json(files, path)? } else { from_vocabulary(files, path)? };
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| ModelError::corrupt(path, format!("the vocabulary has no {token}")))
        };
        let (separator, padding) = (id(SEPARATOR)?, id(PADDING)?);
        if largest as usize >= vocabulary {
            return Err(ModelError::mismatch(
                path,
                format!("the largest token id is {largest}, expected less than vocab_size {vocabulary}"),
            ));
        }
        Ok(Self { tokenizer, path: path.to_owned(), separator, padding, max_tokens })
    }

    /// Ids of `text` with `[CLS]` and `[SEP]`, and whether its end was cut off.
    pub(crate) fn encode(&self, text: &str) -> Result<(Vec<u32>, bool), ModelError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| ModelError::run(&self.path, format!("the text cannot be tokenized: {error}")))?;
        let mut ids = encoding.get_ids().to_vec();
        let truncated = ids.len() > self.max_tokens;
        if truncated {
            ids.truncate(self.max_tokens.saturating_sub(1));
            ids.push(self.separator);
        }
        Ok((ids, truncated))
    }

    pub(crate) fn padding(&self) -> u32 {
        self.padding
    }

    pub(crate) fn max_tokens(&self) -> usize {
        self.max_tokens
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({})", self.path.display())
    }
}

/// With the largest id.
fn from_vocabulary(files: Files, path: &Path) -> Result<(tokenizers::Tokenizer, u32), ModelError> {
    let entries = read_vocabulary(files, path)?;
    // An empty map of the type that the builder takes.
    let mut ids = WordPiece::read_bytes(&[]).map_err(|error| ModelError::corrupt(path, error.to_string()))?;
    ids.reserve(entries.len());
    let last = entries.len().saturating_sub(1) as u32;
    for (id, entry) in (0u32..).zip(entries) {
        ids.insert(entry, id);
    }
    let model = WordPiece::builder()
        .vocab(ids)
        .unk_token(UNKNOWN.into())
        .max_input_chars_per_word(MAX_WORD_CHARS)
        .build()
        .map_err(|error| ModelError::corrupt(path, error.to_string()))?;
    let special = |token: &str| {
        model
            .token_to_id(token)
            .map(|id| (token.to_owned(), id))
            .ok_or_else(|| ModelError::corrupt(path, format!("the vocabulary has no {token}")))
    };
    special(UNKNOWN)?;
    let ends = BertProcessing::new(special(SEPARATOR)?, special(CLASSIFY)?);
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    // Clean, split ideographs, strip accents, lower-case.
    let built = tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, Some(true), true)));
    built.map_err(|error| ModelError::corrupt(path, error.to_string()))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(ends));
    // Typed by the user they are the tokens themselves, as in transformers.
    let special = [UNKNOWN, SEPARATOR, PADDING, CLASSIFY, MASK];
    let tokens = special.map(|token| AddedToken::from(token, true));
    tokenizer.add_special_tokens(tokens).map_err(|error| ModelError::corrupt(path, error.to_string()))?;
    // Those that the vocabulary has not got the next ids. Asking for all ids would copy the vocabulary.
    let largest = special.iter().filter_map(|token| tokenizer.token_to_id(token)).fold(last, u32::max);
    Ok((tokenizer, largest))
}

/// With the largest id.
fn from_json(files: Files, path: &Path) -> Result<(tokenizers::Tokenizer, u32), ModelError> {
    let bytes = files.read(path).map_err(|error| ModelError::io(path, error))?;
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(&bytes)
        .map_err(|error| ModelError::corrupt(path, error.to_string()))?;
    // Length and padding are this crate's business, whatever the file was saved with.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| ModelError::corrupt(path, error.to_string()))?;
    let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
    Ok((tokenizer, largest))
}

/// Feeds what decides the ids to `take`: the vocabulary, and of a `tokenizer.json` also its rules.
pub(crate) fn describe(files: Files, path: &Path, take: &mut dyn FnMut(&[u8])) -> Result<(), ModelError> {
    if !is_json(path) {
        take(b"bert-wordpiece-lower-case");
        for entry in read_vocabulary(files, path)? {
            take(entry.as_bytes());
        }
        return Ok(());
    }
    let json: Value = read_json(files, path)?;
    for part in ["normalizer", "pre_tokenizer", "model", "post_processor", "added_tokens"] {
        take(part.as_bytes());
        describe_json(json.get(part).unwrap_or(&Value::Null), take);
    }
    Ok(())
}

/// Keys in order, whatever order the file or the JSON library keeps.
fn describe_json(value: &Value, take: &mut dyn FnMut(&[u8])) {
    match value {
        Value::Object(map) => {
            take(b"{");
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            for (key, value) in entries {
                take(key.as_bytes());
                describe_json(value, take);
            }
            take(b"}");
        }
        Value::Array(values) => {
            take(b"[");
            for value in values {
                describe_json(value, take);
            }
            take(b"]");
        }
        plain => take(plain.to_string().as_bytes()),
    }
}
