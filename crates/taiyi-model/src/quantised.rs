//! A tower's weights in 8-bit numbers, in a file of their own: made once, and mapped from then on.
//!
//! The file is one of safetensors, so that other tools can look into it. Of a tensor `name`, it holds
//!
//! | role | tensors |
//! |---|---|
//! | weights of a dense layer, `[channels, inputs]` | `name` i8 `[channels / 16, inputs / 4, 16, 4]`, as kernels read it; `name.scale` f32 and `name.sum` i32 `[channels]`, filled up to a multiple of 16 |
//! | table of which few rows are read | `name` i8 `[rows, width]`; `name.scale` f32 `[rows]` |
//! | any other | `name` f32, as in the model's own file |
//!
//! so that nothing of the model's own weights is read beside it. `__metadata__` has the format's number, the
//! model's identity, and the BLAKE3 of all behind the header. The file lies in the cache folder and never beside
//! the model; where it cannot be written, its bytes stay in memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::json;

use crate::files::{FileBytes, Files};
use crate::machine::int8::{BLOCK, BlockSizes, Blocks, GROUP, OwnedBlocks, quantise_row, scale_of};
use crate::values::Values;
use crate::weights::{Role, TensorSpec, WeightFile};
use crate::{ModelError, identity};

/// Changes whenever what a tensor holds, or where, changes.
const FORMAT: &str = "taiyi-search int8 1";
/// The data begin at a multiple of it: that of a cache line.
const ALIGN: usize = 64;
/// A draft of a file older than this is of a process that was killed.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// An open file of quantised weights.
pub(crate) struct QuantisedFile {
    /// For messages: of the model's own weights.
    path: PathBuf,
    map: Arc<FileBytes>,
    data_start: usize,
    header: Metadata,
}

impl QuantisedFile {
    /// The tensors of `weights` that `specs` name: from the file in `cache_dir` if that is whole and of the model
    /// `identity`, else quantised now, and kept there if possible. `tell` is called before that.
    pub(crate) fn open(
        weights: &WeightFile,
        specs: &[TensorSpec],
        identity: &str,
        tower: &str,
        cache_dir: Option<&Path>,
        tell: impl Fn(),
    ) -> Result<Self, ModelError> {
        let Some(cache_dir) = cache_dir else {
            tell();
            return Self::in_memory(weights, specs, identity);
        };
        let path = file_in(cache_dir, identity, tower);
        match Self::read(&path, weights, specs, identity, cache_dir) {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {}
            Err(problem) => {
                tracing::warn!("{} {problem}: it is made again from the model", path.display());
            }
        }
        tell();
        let kept = keep(&path, |out| write(out, weights, specs, identity));
        let problem = match kept {
            Err(Failed::Model(error)) => return Err(error),
            Err(Failed::Io(error)) => error.to_string(),
            Ok(()) => match Self::read(&path, weights, specs, identity, cache_dir) {
                Ok(Some(file)) => return Ok(file),
                Ok(None) => "it is gone at once".to_owned(),
                Err(problem) => problem,
            },
        };
        tracing::warn!(
            "cannot keep the quantised weights in {}: {problem}; quantising them for this run alone",
            path.display()
        );
        Self::in_memory(weights, specs, identity)
    }

    fn in_memory(weights: &WeightFile, specs: &[TensorSpec], identity: &str) -> Result<Self, ModelError> {
        let mut out = Cursor::new(Vec::new());
        write(&mut out, weights, specs, identity).map_err(|failed| match failed {
            Failed::Model(error) => error,
            Failed::Io(error) => ModelError::io(weights.path(), error),
        })?;
        Self::parse(FileBytes::Owned(out.into_inner()), weights, specs, identity)
            .map_err(|problem| ModelError::run(weights.path(), format!("its quantised form {problem}")))
    }

    /// `None` if there is no such file; else what is wrong with it.
    fn read(
        path: &Path,
        weights: &WeightFile,
        specs: &[TensorSpec],
        identity: &str,
        cache_dir: &Path,
    ) -> Result<Option<Self>, String> {
        let map = match Files::Disk.map(path) {
            Ok(map) => map,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot be read ({error})")),
        };
        let file = Self::parse(map, weights, specs, identity)?;
        let expected = file.checksum().unwrap_or_default().to_owned();
        // Every byte is read when the file is new or has changed, and never again.
        let sum =
            || Ok(blake3::hash(file.map.bytes().get(file.data_start..).unwrap_or_default()).to_string());
        match identity::remembered(Some(cache_dir), &[path], sum) {
            Ok(actual) if actual == expected => Ok(Some(file)),
            _ => Err("is damaged".to_owned()),
        }
    }

    fn parse(
        map: FileBytes,
        weights: &WeightFile,
        specs: &[TensorSpec],
        identity: &str,
    ) -> Result<Self, String> {
        let (header_bytes, header) =
            SafeTensors::read_metadata(map.bytes()).map_err(|error| format!("is damaged ({error})"))?;
        let told = |key: &str| header.metadata().as_ref().and_then(|told| told.get(key)).map(String::as_str);
        if told("format") != Some(FORMAT) {
            return Err("is of another version".to_owned());
        }
        if told("model") != Some(identity) {
            return Err("is of another model".to_owned());
        }
        for entry in entries(specs).ok_or("has a layer of an impossible size")? {
            let fits = header
                .info(&entry.name)
                .is_some_and(|info| info.dtype == entry.dtype && info.shape == entry.shape);
            if !fits {
                return Err(format!("is damaged (tensor {})", entry.name));
            }
        }
        let data_start = header_bytes.saturating_add(size_of::<u64>());
        Ok(Self { path: weights.path().to_owned(), map: Arc::new(map), data_start, header })
    }

    /// The model's own file, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn checksum(&self) -> Option<&str> {
        self.header.metadata().as_ref()?.get("blake3").map(String::as_str)
    }

    fn range(&self, name: &str) -> Result<std::ops::Range<usize>, ModelError> {
        let missing = || ModelError::mismatch(&self.path, format!("tensor {name} is missing"));
        let (begin, end) = self.header.info(name).ok_or_else(missing)?.data_offsets;
        let range = self.data_start.saturating_add(begin)..self.data_start.saturating_add(end);
        self.map.bytes().get(range.clone()).ok_or_else(missing)?;
        Ok(range)
    }

    /// A tensor that is kept as f32.
    pub(crate) fn values(&self, name: &str) -> Result<Values, ModelError> {
        let range = self.range(name)?;
        Values::in_file(&self.map, range)
            .ok_or_else(|| ModelError::mismatch(&self.path, format!("tensor {name} is missing")))
    }

    fn bytes(&self, name: &str) -> Result<Bytes, ModelError> {
        Ok(Bytes { file: Arc::clone(&self.map), range: self.range(name)? })
    }

    /// The weights of a dense layer.
    pub(crate) fn dense(&self, name: &str, inputs: usize, channels: usize) -> Result<Quantised, ModelError> {
        let scales = self.values(&format!("{name}.scale"))?.as_slice().to_vec();
        let sums = self.bytes(&format!("{name}.sum"))?;
        let sums = sums.as_slice().as_chunks().0.iter().map(|sum| i32::from_le_bytes(*sum)).collect();
        let quantised = Quantised { inputs, channels, values: self.bytes(name)?, scales, sums };
        match quantised.blocks() {
            Some(_) => Ok(quantised),
            None => Err(ModelError::mismatch(&self.path, format!("tensor {name} has not the layer's size"))),
        }
    }

    /// A table, row by row.
    pub(crate) fn table(&self, name: &str) -> Result<Table, ModelError> {
        let scales = self.values(&format!("{name}.scale"))?;
        Ok(Table::Int8 { values: self.bytes(name)?, scales })
    }
}

/// Bytes of a file.
#[derive(Clone)]
pub(crate) struct Bytes {
    file: Arc<FileBytes>,
    range: std::ops::Range<usize>,
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        self.file.bytes().get(self.range.clone()).unwrap_or_default()
    }

    fn as_i8(&self) -> &[i8] {
        bytemuck::cast_slice(self.as_slice())
    }
}

/// The quantised weights of a dense layer in their file.
pub(crate) struct Quantised {
    inputs: usize,
    channels: usize,
    values: Bytes,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Quantised {
    /// Brings them into memory before they are read.
    pub(crate) fn fetch(&self) {
        self.values.file.fetch(self.values.range.clone());
    }

    /// As the kernels take them; `None` if sizes do not fit together, which is asked when this is made.
    pub(crate) fn blocks(&self) -> Option<Blocks<'_>> {
        Blocks::new(self.channels, self.inputs, self.values.as_i8(), &self.scales, &self.sums)
    }
}

/// A table, of which few rows are read.
pub(crate) enum Table {
    /// `[rows, width]`
    F32(Values),
    /// The same with a scale for each row.
    Int8 {
        /// `[rows, width]`
        values: Bytes,
        /// `[rows]`
        scales: Values,
    },
}

impl Table {
    /// Row `index`, of `width` numbers; fewer if the table has no such row.
    pub(crate) fn row(&self, index: usize, width: usize) -> Row<'_> {
        let range = index.saturating_mul(width)..index.saturating_add(1).saturating_mul(width);
        match self {
            Self::F32(values) => Row::F32(values.as_slice().get(range).unwrap_or_default().iter()),
            Self::Int8 { values, scales } => Row::Int8(
                values.as_i8().get(range).unwrap_or_default().iter(),
                scales.as_slice().get(index).copied().unwrap_or_default(),
            ),
        }
    }
}

/// The numbers of a row of a [`Table`].
pub(crate) enum Row<'a> {
    F32(std::slice::Iter<'a, f32>),
    Int8(std::slice::Iter<'a, i8>, f32),
}

impl Iterator for Row<'_> {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        match self {
            Self::F32(values) => values.next().copied(),
            Self::Int8(values, scale) => values.next().map(|value| f32::from(*value) * *scale),
        }
    }
}

/// Where the quantised weights of a tower are kept.
pub(crate) fn file_in(cache_dir: &Path, identity: &str, tower: &str) -> PathBuf {
    cache_dir.join("int8").join(format!("{identity}-{tower}.safetensors"))
}

/// One tensor of the file.
struct Entry<'a> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: usize,
    part: Part<'a>,
}

impl<'a> Entry<'a> {
    fn new(name: String, dtype: Dtype, shape: Vec<usize>, part: Part<'a>) -> Option<Self> {
        let size = if dtype == Dtype::I8 { 1 } else { 4 };
        let bytes = shape.iter().try_fold(size, |bytes: usize, side| bytes.checked_mul(*side))?;
        Some(Self { name, dtype, shape, bytes, part })
    }
}

/// What an entry holds of a tensor of the model.
enum Part<'a> {
    Blocks(&'a TensorSpec, usize, usize),
    Scales(&'a TensorSpec),
    Sums(&'a TensorSpec),
    Whole(&'a TensorSpec),
    Rows(&'a TensorSpec, usize),
}

/// The file's tensors in their order: blocks first, so that each begins at a cache line; last the tables, after
/// which nothing would be aligned. `None` for a layer that cannot be quantised.
fn entries(specs: &[TensorSpec]) -> Option<Vec<Entry<'_>>> {
    let (mut blocks, mut numbers, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    for spec in specs {
        let entry = |suffix: &str, dtype, shape, part| {
            Entry::new(format!("{}{suffix}", spec.name), dtype, shape, part)
        };
        let (first, rest) = spec.shape.split_first()?;
        let inputs = rest.iter().try_fold(1usize, |size, side| size.checked_mul(*side))?;
        match spec.role {
            Role::Plain => numbers.push(entry("", Dtype::F32, spec.shape.clone(), Part::Whole(spec))?),
            Role::Table => {
                tables.push(entry("", Dtype::I8, vec![*first, inputs], Part::Rows(spec, inputs))?);
                numbers.push(entry(".scale", Dtype::F32, vec![*first], Part::Scales(spec))?);
            }
            Role::Dense => {
                let channels = BlockSizes::new(*first, inputs)?.channels;
                let shape = vec![channels / BLOCK, inputs.div_ceil(GROUP), BLOCK, GROUP];
                blocks.push(entry("", Dtype::I8, shape, Part::Blocks(spec, *first, inputs))?);
                numbers.push(entry(".scale", Dtype::F32, vec![channels], Part::Scales(spec))?);
                numbers.push(entry(".sum", Dtype::I32, vec![channels], Part::Sums(spec))?);
            }
        }
    }
    blocks.append(&mut numbers);
    blocks.append(&mut tables);
    Some(blocks)
}

/// Why quantised weights could not be written.
enum Failed {
    /// The model is at fault, and it fails wherever they are written.
    Model(ModelError),
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ModelError> for Failed {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

/// Quantises the tensors of `specs` and writes the whole file. Of the model, one tensor at a time is in memory.
fn write(
    out: &mut (impl Write + Seek),
    weights: &WeightFile,
    specs: &[TensorSpec],
    identity: &str,
) -> Result<(), Failed> {
    let impossible = || ModelError::mismatch(weights.path(), "a layer is too large for int8: use f32");
    let entries = entries(specs).ok_or_else(impossible)?;
    // As long as what it stands for.
    out.write_all(&header(&entries, identity, &blake3::hash(b"")))?;
    let mut sum = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        sum.update(bytes);
        out.write_all(bytes)
    };
    let mut known: BTreeMap<&str, OwnedBlocks> = BTreeMap::new();
    for entry in &entries {
        match entry.part {
            Part::Blocks(spec, channels, inputs) => {
                let values = weights.values(&spec.name)?;
                let mut blocks =
                    OwnedBlocks::quantise(values.as_slice(), channels, inputs).ok_or_else(impossible)?;
                put(bytemuck::cast_slice(blocks.view().values()))?;
                blocks.forget_values();
                known.insert(&spec.name, blocks);
            }
            Part::Scales(spec) => match known.get(spec.name.as_str()) {
                Some(blocks) => put(&little_endian(blocks.view().scales(), f32::to_le_bytes))?,
                None => {
                    let values = weights.values(&spec.name)?;
                    let rows = values.as_slice().chunks(row_length(spec));
                    put(&little_endian(&rows.map(scale_of).collect::<Vec<_>>(), f32::to_le_bytes))?;
                }
            },
            Part::Sums(spec) => {
                let sums = known.get(spec.name.as_str()).map(|blocks| blocks.view().sums());
                put(&little_endian(sums.unwrap_or_default(), i32::to_le_bytes))?;
            }
            Part::Whole(spec) => {
                put(&little_endian(weights.values(&spec.name)?.as_slice(), f32::to_le_bytes))?;
            }
            Part::Rows(spec, width) => {
                let mut quantised = vec![0i8; width];
                for row in weights.values(&spec.name)?.as_slice().chunks_exact(width) {
                    quantise_row(row, scale_of(row), &mut quantised);
                    put(bytemuck::cast_slice(&quantised))?;
                }
            }
        }
    }
    let header = header(&entries, identity, &sum.finalize());
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&header)?;
    out.flush()?;
    Ok(())
}

fn row_length(spec: &TensorSpec) -> usize {
    spec.shape.iter().skip(1).product::<usize>().max(1)
}

fn little_endian<T: Copy>(values: &[T], bytes: fn(T) -> [u8; 4]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(*value)).collect()
}

/// The header of a safetensors file and its length before it, filled up with spaces to a multiple of [`ALIGN`].
fn header(entries: &[Entry<'_>], identity: &str, sum: &blake3::Hash) -> Vec<u8> {
    let mut tensors = serde_json::Map::new();
    let told = json!({ "format": FORMAT, "model": identity, "blake3": sum.to_string() });
    tensors.insert("__metadata__".into(), told);
    let mut begin = 0;
    for entry in entries {
        let end = begin + entry.bytes;
        let info = TensorInfo { dtype: entry.dtype, shape: entry.shape.clone(), data_offsets: (begin, end) };
        tensors.insert(entry.name.clone(), json!(info));
        begin = end;
    }
    let mut json = serde_json::Value::from(tensors).to_string().into_bytes();
    let length = (json.len() + size_of::<u64>()).next_multiple_of(ALIGN) - size_of::<u64>();
    json.resize(length, b' ');
    let mut header = (length as u64).to_le_bytes().to_vec();
    header.append(&mut json);
    header
}

/// Lets `write` fill the file, which is there whole or not at all, whoever else makes or reads it.
fn keep(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Failed>) -> Result<(), Failed> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    sweep(dir);
    let draft = tempfile::Builder::new().prefix("draft-").suffix(DRAFT).tempfile_in(dir)?;
    let mut out = BufWriter::with_capacity(1 << 20, draft.reopen()?);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    draft.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What the name of an unfinished file ends with.
const DRAFT: &str = ".tmp";

/// Removes what killed processes left. What cannot be removed stays: it is only space.
fn sweep(dir: &Path) {
    let Ok(files) = fs::read_dir(dir) else { return };
    for file in files.flatten().filter(|file| file.file_name().to_string_lossy().ends_with(DRAFT)) {
        let written = file.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|written| SystemTime::now().duration_since(written).ok());
        if age.is_some_and(|age| age > FORGOTTEN)
            && let Err(error) = fs::remove_file(file.path())
        {
            tracing::debug!(%error, path = %file.path().display(), "an old draft stays");
        }
    }
}
