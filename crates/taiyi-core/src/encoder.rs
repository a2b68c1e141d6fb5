//! The seam between those who need embeddings and the models that make them.
//!
//! Indexing and searching take these traits, never a model, so that their tests run on a fake.

use crate::{Area, Embedding, RgbImage};

/// Why an encoder could not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The input cannot be encoded, and another could be; the text says why.
    #[error("{0}")]
    Input(String),
    /// The model itself failed; the text says where.
    #[error("the model failed: {0}")]
    Model(String),
}

/// Pixels that an [`ImageEncoder`] has resized and cropped to its own input size.
///
/// Still 8-bit RGB (150 KB for 224 pixels, where f32 would take 600 KB), so queues between
/// threads stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedImage(pub RgbImage);

/// Turns pictures into embeddings.
pub trait ImageEncoder: Send + Sync {
    /// Components of every embedding made here.
    fn dimension(&self) -> usize;

    /// How many pixels along the shorter side of a picture are enough: more hardly change its embedding, so that decoders
    /// may save themselves the work. `None`: as many as there are.
    fn enough_pixels(&self) -> Option<u32> {
        None
    }

    /// Resizes and crops an upright picture to the size that the tower takes. Runs on decode workers,
    /// many at a time.
    ///
    /// # Errors
    /// [`EncodeError::Input`] when this picture has no such form.
    fn prepare(&self, image: &RgbImage) -> Result<PreparedImage, EncodeError>;

    /// As [`prepare`](Self::prepare), of a part of the picture: what is shown there may have been more pixels once. An encoder
    /// that never says how many are [enough](Self::enough_pixels) need not care.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    fn prepare_area(&self, image: &RgbImage, area: Area) -> Result<PreparedImage, EncodeError> {
        let _ = area;
        self.prepare(image)
    }

    /// Embeds a batch, one result an input in the same order. What else is in a batch never changes
    /// an embedding.
    ///
    /// # Errors
    /// When the model fails on the batch as a whole.
    fn encode_images(&self, batch: &[PreparedImage]) -> Result<Vec<Embedding>, EncodeError>;
}

/// Turns prompts into embeddings.
pub trait TextEncoder: Send + Sync {
    /// Components of every embedding made here.
    fn dimension(&self) -> usize;

    /// Embeds a batch, one result a text in the same order. What else is in a batch never changes
    /// an embedding.
    ///
    /// # Errors
    /// When the model fails on the batch as a whole.
    fn encode_texts(&self, batch: &[&str]) -> Result<Vec<Embedding>, EncodeError>;

    /// Whether the tower would cut the end of `text` off: `Some` with the most tokens that it reads,
    /// `[CLS]` and `[SEP]` included, if so; `None` if it reads all of it.
    ///
    /// # Errors
    /// When the text cannot be split into tokens.
    fn too_long(&self, text: &str) -> Result<Option<usize>, EncodeError>;
}
