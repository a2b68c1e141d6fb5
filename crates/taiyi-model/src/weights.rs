//! Weight files: safetensors, mapped, and PyTorch's zip pickles, of which nothing is ever executed.
//!
//! A tower says which tensors it is made of ([`TensorSpec`]); only those are checked, hashed and loaded,
//! so that whatever else a file holds (CLIP's English text half) costs nothing and breaks nothing.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata};

use crate::ModelError;
use crate::files::{FileBytes, Files};
use crate::pickle;
use crate::values::Values;

/// A tensor that a tower needs: its name in the file, and its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorSpec {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) role: Role,
}

/// What a tower does with a tensor, as far as that decides how it is quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Adds or multiplies it number by number.
    Plain,
    /// Multiplies tokens with it: `[outputs, …]`, inputs behind.
    Dense,
    /// Reads a few of its rows.
    Table,
}

impl TensorSpec {
    pub(crate) fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), role: Role::Plain }
    }

    /// The same with another role.
    pub(crate) fn used_as(self, role: Role) -> Self {
        Self { role, ..self }
    }
}

/// An open weight file: the table of its tensors is read, their values are not.
pub(crate) struct WeightFile {
    path: PathBuf,
    format: Format,
}

enum Format {
    Safetensors {
        map: Arc<FileBytes>,
        /// Where the tensors' bytes begin in the file.
        data_start: usize,
        header: Metadata,
    },
    Pickle {
        tensors: PthTensors,
        file_bytes: u64,
    },
}

impl std::fmt::Debug for WeightFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WeightFile({})", self.path.display())
    }
}

impl WeightFile {
    /// Opens the weights in `dir`: `model.safetensors`, else `pytorch_model.bin`.
    pub(crate) fn open_in(files: Files, dir: &Path) -> Result<Self, ModelError> {
        let safetensors = dir.join("model.safetensors");
        if files.exists(&safetensors) {
            return Self::open_safetensors(files, safetensors);
        }
        let pickle = dir.join("pytorch_model.bin");
        if files.exists(&pickle) {
            return Self::open_pickle(pickle);
        }
        Err(ModelError::NotFound(format!(
            "{} has no weights: put model.safetensors or pytorch_model.bin there",
            dir.display()
        )))
    }

    fn open_safetensors(files: Files, path: PathBuf) -> Result<Self, ModelError> {
        let map = Arc::new(files.map(&path).map_err(|error| ModelError::io(&path, error))?);
        let length = map.bytes().len();
        if length == 0 {
            return Err(ModelError::corrupt(&path, "the file is empty"));
        }
        let (header_bytes, header) = SafeTensors::read_metadata(map.bytes())
            .map_err(|error| ModelError::corrupt(&path, format!("{length} bytes, {error}")))?;
        let data_start = header_bytes
            .checked_add(size_of::<u64>())
            .ok_or_else(|| ModelError::corrupt(&path, "the header's length is impossible"))?;
        Ok(Self { path, format: Format::Safetensors { map, data_start, header } })
    }

    fn open_pickle(path: PathBuf) -> Result<Self, ModelError> {
        let file_bytes = fs::metadata(&path).map_err(|error| ModelError::io(&path, error))?.len();
        let read = || {
            pickle::check(&path)?;
            PthTensors::new(&path, None).map_err(|error| ModelError::corrupt(&path, plain(&error)))
        };
        // The reader indexes into what it unpickled; a damaged table is its panic, and here an error.
        let tensors = catch_unwind(read)
            .map_err(|_| ModelError::corrupt(&path, "its table of tensors cannot be read"))??;
        Ok(Self { path, format: Format::Pickle { tensors, file_bytes } })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The shape of a tensor, if the file has it.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match &self.format {
            Format::Safetensors { header, .. } => header.info(name).map(|info| info.shape.clone()),
            Format::Pickle { tensors, .. } => {
                tensors.tensor_infos().get(name).map(|info| info.layout.dims().to_vec())
            }
        }
    }

    /// Says what is wrong unless every tensor of `specs` is there in its shape and as floats.
    pub(crate) fn check(&self, specs: &[TensorSpec]) -> Result<(), ModelError> {
        for spec in specs {
            let Some(actual) = self.shape(&spec.name) else {
                return Err(ModelError::mismatch(
                    &self.path,
                    format!("tensor {} {:?} is missing", spec.name, spec.shape),
                ));
            };
            if actual != spec.shape {
                return Err(ModelError::mismatch(
                    &self.path,
                    format!("tensor {} has shape {actual:?}, expected {:?}", spec.name, spec.shape),
                ));
            }
            self.check_values(spec)?;
        }
        Ok(())
    }

    /// Type and extent of a tensor that is there.
    fn check_values(&self, spec: &TensorSpec) -> Result<(), ModelError> {
        let of_type = |what: String| {
            Err(ModelError::mismatch(
                &self.path,
                format!("tensor {} is of type {what}, expected f32, f16 or bf16", spec.name),
            ))
        };
        match &self.format {
            Format::Safetensors { header, .. } => match header.info(&spec.name) {
                Some(info) if float_type(info.dtype).is_none() => of_type(format!("{:?}", info.dtype)),
                _ => Ok(()),
            },
            Format::Pickle { tensors, file_bytes } => {
                let Some(info) = tensors.tensor_infos().get(&spec.name) else { return Ok(()) };
                if !matches!(info.dtype, DType::F32 | DType::F16 | DType::BF16) {
                    return of_type(format!("{:?}", info.dtype));
                }
                // Before the reader allocates for it: no tensor can be larger than its file.
                let bytes = spec
                    .shape
                    .iter()
                    .try_fold(info.dtype.size_in_bytes() as u64, |bytes, side| {
                        bytes.checked_mul(*side as u64)
                    })
                    .and_then(|bytes| bytes.checked_add(info.layout.start_offset() as u64));
                match bytes {
                    Some(bytes) if bytes <= *file_bytes => Ok(()),
                    _ => Err(ModelError::corrupt(
                        &self.path,
                        format!("tensor {} {:?} is larger than the file", spec.name, spec.shape),
                    )),
                }
            }
        }
    }

    /// The tensor's values as f32: where they lie in the file if that has them so, else converted.
    pub(crate) fn values(&self, name: &str) -> Result<Values, ModelError> {
        if let Format::Safetensors { map, data_start, header } = &self.format
            && let Some(info) = header.info(name)
            && info.dtype == Dtype::F32
        {
            let (_, range) = self.mapped(map, *data_start, info.data_offsets, name)?;
            if let Some(values) = Values::in_file(map, range) {
                return Ok(values);
            }
        }
        Ok(Values::Owned(self.converted(name)?))
    }

    fn converted(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        self.tensor(name)?
            .flatten_all()
            .and_then(|tensor| tensor.to_vec1::<f32>())
            .map_err(|error| ModelError::corrupt(&self.path, plain(&error)))
    }

    /// Gives the tensor's values to `take`, as f32 in little-endian bytes, row by row.
    pub(crate) fn with_f32_bytes(&self, name: &str, take: &mut dyn FnMut(&[u8])) -> Result<(), ModelError> {
        if let Format::Safetensors { map, data_start, header } = &self.format
            && let Some(info) = header.info(name)
            && info.dtype == Dtype::F32
        {
            let (bytes, range) = self.mapped(map, *data_start, info.data_offsets, name)?;
            take(bytes);
            map.release(range);
            return Ok(());
        }
        let values = self.converted(name)?;
        let mut bytes = Vec::with_capacity(4 * HASH_CHUNK);
        for chunk in values.chunks(HASH_CHUNK) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            take(&bytes);
        }
        Ok(())
    }

    fn mapped<'a>(
        &self,
        map: &'a FileBytes,
        data_start: usize,
        (begin, end): (usize, usize),
        name: &str,
    ) -> Result<(&'a [u8], std::ops::Range<usize>), ModelError> {
        let range = data_start.saturating_add(begin)..data_start.saturating_add(end);
        let bytes = map
            .bytes()
            .get(range.clone())
            .ok_or_else(|| ModelError::corrupt(&self.path, format!("tensor {name} is cut off")))?;
        Ok((bytes, range))
    }

    fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        let missing = || ModelError::mismatch(&self.path, format!("tensor {name} is missing"));
        let damaged = |error: candle_core::Error| {
            ModelError::corrupt(&self.path, format!("tensor {name}: {}", plain(&error)))
        };
        let tensor = match &self.format {
            Format::Safetensors { map, data_start, header } => {
                let info = header.info(name).ok_or_else(missing)?;
                let dtype = float_type(info.dtype).ok_or_else(missing)?;
                let (bytes, range) = self.mapped(map, *data_start, info.data_offsets, name)?;
                let tensor =
                    Tensor::from_raw_buffer(bytes, dtype, &info.shape, &Device::Cpu).map_err(damaged)?;
                map.release(range);
                tensor
            }
            Format::Pickle { tensors, .. } => catch_unwind(AssertUnwindSafe(|| tensors.get(name)))
                .map_err(|_| ModelError::corrupt(&self.path, format!("tensor {name} cannot be read")))?
                .map_err(damaged)?
                .ok_or_else(missing)?,
        };
        tensor.to_dtype(DType::F32).and_then(|tensor| tensor.contiguous()).map_err(damaged)
    }
}

/// Values converted to bytes at a time when a tensor cannot be hashed where it lies.
const HASH_CHUNK: usize = 16 * 1024;

fn float_type(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// A candle error on one line, without the backtrace that it may carry.
pub(crate) fn plain(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim().to_owned()
}
