//! Towers that are loaded when they are first needed: a text query never reads the image tower.

use std::cell::OnceCell;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use taiyi_core::{Embedding, ImageEncoder as _};
use taiyi_image::{Decoded, Enough, Limits};
use taiyi_model::{ImageTower, TextTower, TowerOptions};

use crate::models::Model;
use crate::settings::Settings;

/// The two towers of a model.
pub(crate) struct Encoders<'a> {
    model: &'a Model,
    options: TowerOptions,
    full_decode: bool,
    text: OnceCell<TextTower>,
    image: OnceCell<ImageTower>,
    loading: std::cell::Cell<Duration>,
}

impl<'a> Encoders<'a> {
    pub(crate) fn new(model: &'a Model, settings: &Settings) -> Self {
        Self {
            model,
            options: settings.towers(),
            full_decode: settings.full_decode,
            text: OnceCell::new(),
            image: OnceCell::new(),
            loading: std::cell::Cell::default(),
        }
    }

    pub(crate) fn text(&self) -> anyhow::Result<&TextTower> {
        if let Some(tower) = self.text.get() {
            return Ok(tower);
        }
        let start = Instant::now();
        let tower = self.model.folder.text_tower(&self.options)?;
        self.loading.set(self.loading.get() + start.elapsed());
        Ok(self.text.get_or_init(|| tower))
    }

    pub(crate) fn image(&self) -> anyhow::Result<&ImageTower> {
        if let Some(tower) = self.image.get() {
            return Ok(tower);
        }
        let start = Instant::now();
        let tower = self.model.folder.image_tower(&self.options)?.with_full_decode(self.full_decode);
        self.loading.set(self.loading.get() + start.elapsed());
        Ok(self.image.get_or_init(|| tower))
    }

    /// Time spent loading towers since this was last asked.
    pub(crate) fn take_loading(&self) -> Duration {
        self.loading.take()
    }

    /// Time spent loading towers, as far as [`take_loading`](Self::take_loading) has not taken it.
    pub(crate) fn loading(&self) -> Duration {
        self.loading.get()
    }

    /// Embeds the picture in `bytes`, which come from `path`.
    pub(crate) fn embed_picture(
        &self,
        bytes: &[u8],
        path: &Path,
        limits: &Limits,
    ) -> anyhow::Result<Embedding> {
        let tower = self.image()?;
        let enough = tower.enough_pixels().map(Enough::ShortSide);
        let reduced = enough.and_then(|enough| taiyi_image::decode_reduced(bytes, limits, enough));
        let decoded = reduced.map_or_else(|| decode(bytes, path, limits), Ok)?;
        let prepared =
            tower.prepare_area(&decoded.image, decoded.area).with_context(|| path.display().to_string())?;
        let mut embeddings = tower.encode_images(std::slice::from_ref(&prepared))?;
        embeddings.pop().with_context(|| format!("{}: the model gave no vector", path.display()))
    }
}

/// Decodes on a thread named like those of an index run, on which a decoder's panic stays quiet.
fn decode(bytes: &[u8], path: &Path, limits: &Limits) -> anyhow::Result<Decoded> {
    let decoded = thread::scope(|scope| {
        let decode = || taiyi_image::decode(bytes, path, limits);
        thread::Builder::new()
            .name("decode-query".into())
            .spawn_scoped(scope, decode)
            .map(|handle| handle.join())
    });
    match decoded.context("cannot start a thread")? {
        Ok(decoded) => Ok(decoded?),
        Err(_) => bail!("{}: the decoder panicked", path.display()),
    }
}
