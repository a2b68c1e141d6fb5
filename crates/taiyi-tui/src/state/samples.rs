//! Made-up pictures for tests.

use std::path::PathBuf;
use std::sync::Arc;

use taiyi_core::{ImageFormat, Orientation, PhotoMetadata, Score};
use taiyi_query::{ContentHash, Picture, RowTime};

use crate::state::Entry;

/// A picture with a score, a file of this name, and content that differs by name.
pub(crate) fn entry(path: &str, score: f32) -> Entry {
    Entry {
        score: Some(Score::new(score)),
        picture: Picture {
            path: PathBuf::from(path),
            copies: Vec::new(),
            metadata: PhotoMetadata {
                width: 4000,
                height: 3000,
                format: Some(ImageFormat::Jpeg),
                orientation: Orientation::Upright,
                taken_s: Some(1_682_899_200),
                taken_offset_min: None,
                gps: None,
                camera: None,
            },
            time: Some(RowTime::Taken(1_682_899_200)),
            content: ContentHash::of(path.as_bytes()),
        },
    }
}

/// So many different pictures.
pub(crate) fn entries(n: usize) -> Arc<[Entry]> {
    (0..n).map(|i| entry(&format!("/照片/旅行/{i:03}.jpg"), 0.9 - i as f32 / 100.0)).collect()
}
