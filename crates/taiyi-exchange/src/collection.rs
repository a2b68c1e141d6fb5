//! Reading a collection row by row.

use std::iter::FusedIterator;
use std::path::{Path, PathBuf};

use taiyi_core::{Embedding, EmbeddingError};

use crate::ExchangeError;
use crate::layout::{Part, find_parts};
use crate::npy::{Dtype, NpyReader};
use crate::paths::PathRules;
use crate::table::{ReadRow, TableReader};

/// How far from 1 the length of a row may be: many times what rounding to f16 does to a unit vector, and far
/// from what a vector has that nobody normalised.
const LENGTH_TOLERANCE: f64 = 1e-2;
/// Up to so far a row of f32 is of unit length already, and taken bit for bit.
const EXACT_TOLERANCE: f64 = 1e-6;

/// A folder of embeddings whose files have been opened once, and fit together.
#[derive(Clone, Debug)]
pub struct Collection {
    parts: Vec<Part>,
    rules: PathRules,
    rows: u64,
    dimension: usize,
}

/// A picture of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where it is, or was: absolute.
    pub path: PathBuf,
    /// Its place in the model's space.
    pub embedding: Embedding,
    /// Width and height of the upright picture, where the collection says so.
    pub size: Option<(u32, u32)>,
    /// Capture time in seconds since 1970, as the camera's clock showed it, where the collection says so.
    pub taken_s: Option<i64>,
}

impl Collection {
    /// Opens every file of the collection in `dir` and checks what can be told without reading all of it: that
    /// no half is missing, that arrays are whole, and that all have as many components, and as many rows as the
    /// tables beside them.
    ///
    /// # Errors
    /// `NotACollection`, `File`, `Io`.
    pub fn open(dir: &Path, rules: PathRules) -> Result<Self, ExchangeError> {
        let parts = find_parts(dir)?;
        let mut rows = 0u64;
        let mut first: Option<(usize, PathBuf)> = None;
        for part in &parts {
            let open = OpenPart::open(part)?;
            let dimension = open.vectors.dimension();
            match &first {
                Some((expected, of)) if *expected != dimension => {
                    let what =
                        format!("its rows have {dimension} components, those of {} {expected}", of.display());
                    return Err(ExchangeError::file(&part.vectors, what));
                }
                Some(_) => {}
                None => first = Some((dimension, part.vectors.clone())),
            }
            rows = rows.saturating_add(open.vectors.rows());
        }
        let dimension = first.map_or(0, |(dimension, _)| dimension);
        Ok(Self { parts, rules, rows, dimension })
    }

    /// Rows in all.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Components of a row.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The first file of vectors, for messages.
    #[must_use]
    pub fn first_file(&self) -> &Path {
        self.parts.first().map_or(Path::new(""), |part| &part.vectors)
    }

    /// All rows, file by file in the order of their names. An error ends them.
    #[must_use]
    pub fn rows(&self) -> Rows<'_> {
        Rows { parts: self.parts.iter(), rules: &self.rules, open: None, has_failed: false }
    }
}

/// The rows of a [`Collection`].
pub struct Rows<'a> {
    parts: std::slice::Iter<'a, Part>,
    rules: &'a PathRules,
    open: Option<OpenPart>,
    has_failed: bool,
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, ExchangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let next = self.advance().transpose();
        self.has_failed = matches!(next, Some(Err(_)));
        next
    }
}

impl FusedIterator for Rows<'_> {}

impl Rows<'_> {
    fn advance(&mut self) -> Result<Option<Row>, ExchangeError> {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(row) = open.next_row(self.rules)? {
                    return Ok(Some(row));
                }
                self.open = None;
            }
            let Some(part) = self.parts.next() else { return Ok(None) };
            self.open = Some(OpenPart::open(part)?);
        }
    }
}

/// Two files side by side.
struct OpenPart {
    vectors: NpyReader,
    table: TableReader,
    next_row: u64,
}

impl OpenPart {
    fn open(part: &Part) -> Result<Self, ExchangeError> {
        let vectors = NpyReader::open(&part.vectors)?;
        let table = TableReader::open(&part.table)?;
        if vectors.rows() != table.rows() {
            let (rows, expected) = (table.rows(), vectors.rows());
            let what = format!(
                "it has {rows} rows, but {} has {expected}: they must be of the same run",
                part.vectors.display()
            );
            return Err(ExchangeError::file(&part.table, what));
        }
        Ok(Self { vectors, table, next_row: 0 })
    }

    fn next_row(&mut self, rules: &PathRules) -> Result<Option<Row>, ExchangeError> {
        let row = self.next_row;
        let Some(vector) = self.vectors.next_row()? else {
            return match self.table.next_row()? {
                None => Ok(None),
                Some(_) => Err(self.disagree()),
            };
        };
        let stored = self.table.next_row()?.ok_or_else(|| self.disagree())?;
        let ReadRow { image_path, size, taken_s } = stored;
        let path = rules
            .absolute(image_path.data())
            .map_err(|what| ExchangeError::row(self.table.path(), row, what))?;
        let embedding = unit(vector, self.vectors.dtype())
            .map_err(|what| ExchangeError::row(self.vectors.path(), row, what))?;
        self.next_row += 1;
        Ok(Some(Row { path, embedding, size, taken_s }))
    }

    /// The row groups of a table do not add up to what it says.
    fn disagree(&self) -> ExchangeError {
        let (rows, vectors) = (self.vectors.rows(), self.vectors.path());
        let what = format!("it is damaged: it has not the {rows} rows that it and {} say", vectors.display());
        ExchangeError::file(self.table.path(), what)
    }
}

/// Takes a row that is of unit length but for rounding.
fn unit(vector: Vec<f32>, dtype: Dtype) -> Result<Embedding, String> {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let off = (length - 1.0).abs();
    let taken = if length.is_finite() && off > LENGTH_TOLERANCE {
        return Err(format!(
            "the vector has length {length:.4}, expected 1 (within {LENGTH_TOLERANCE}): divide each row by its length \
             before saving"
        ));
    } else if dtype == Dtype::F32 && off <= EXACT_TOLERANCE {
        Embedding::from_unit(vector)
    } else {
        Embedding::normalize(vector)
    };
    taken.map_err(|e| match e {
        EmbeddingError::NotFinite { index } => {
            format!(
                "component {index} of the vector is NaN or infinite: leave the row out, here and in the table"
            )
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_mended_and_nothing_else() {
        let unit_f32 = unit(vec![0.6, 0.8], Dtype::F32).unwrap();
        assert_eq!(unit_f32.as_slice(), [0.6, 0.8], "bit for bit");
        let rounded = unit(vec![0.6, 0.805], Dtype::F16).unwrap();
        let length = rounded.as_slice().iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-6);
        for (vector, expected) in [
            (vec![0.6, 0.9], "length 1.0817"),
            (vec![0.0, 0.0], "length 0.0000"),
            (vec![1e-6, 0.0], "length 0.0000"),
            (vec![1e30, 1e30], "length 1414"),
            (vec![0.6, f32::NAN], "component 1"),
            (vec![f32::INFINITY, 0.0], "component 0"),
        ] {
            let error = unit(vector.clone(), Dtype::F16).unwrap_err();
            assert!(error.contains(expected), "{vector:?}: {error}");
        }
    }
}
