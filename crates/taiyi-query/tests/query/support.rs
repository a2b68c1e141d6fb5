//! Pictures that never were, published in an index of three dimensions.

use std::num::NonZeroUsize;
use std::path::Path;

use taiyi_core::{Embedding, ImageFormat, ModelId, Orientation, PhotoMetadata};
use taiyi_store::{
    ContentHash, Entry, FileStamp, GraphOptions, PublishOptions, RelativePath, RootId, Snapshot, Writer,
    WriterOptions,
};

pub(crate) const ROOT: &str = "/照片";

/// 2023-05-01T00:00:00 as a clock shows it.
pub(crate) const MAY_2023: i64 = 1_682_899_200;

#[derive(Clone, Debug)]
pub(crate) struct Photo {
    /// Every place where it lies, below the root.
    pub(crate) paths: Vec<String>,
    pub(crate) vector: [f32; 3],
    pub(crate) taken_s: Option<i64>,
    /// When its files were last changed.
    pub(crate) modified_s: i64,
}

/// A photo of May 2023.
pub(crate) fn photo(paths: &[&str], vector: [f32; 3], taken_s: Option<i64>) -> Photo {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    Photo { paths, vector, taken_s, modified_s: MAY_2023 }
}

/// An index that is still being written.
pub(crate) struct Index {
    pub(crate) dir: tempfile::TempDir,
    writer: Writer,
    root: RootId,
}

impl Index {
    pub(crate) fn new(photos: &[Photo]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = ModelId { name: "test".into(), weights: "ab".repeat(32), dimension: 3 };
        let options = WriterOptions { model, graph: GraphOptions::default(), threads: NonZeroUsize::MIN };
        let writer = Writer::open(dir.path(), options).unwrap();
        let root = writer.add_root(Path::new(ROOT)).unwrap();
        let index = Self { dir, writer, root };
        let entries: Vec<Entry> =
            photos.iter().enumerate().flat_map(|(number, photo)| index.entries(number, photo)).collect();
        for batch in entries.chunks(512) {
            index.writer.commit(batch).unwrap();
        }
        index
    }

    fn entries(&self, number: usize, photo: &Photo) -> Vec<Entry> {
        let root = self.root;
        let hash = content(number);
        let stamp = FileStamp { size: 1, mtime_ns: photo.modified_s * 1_000_000_000 };
        let entry = |(copy, path): (usize, &String)| {
            let path = relative(path);
            if copy > 0 {
                return Entry::Reused { root, path, stamp, hash };
            }
            let metadata = PhotoMetadata {
                width: 4,
                height: 3,
                format: Some(ImageFormat::Png),
                orientation: Orientation::Upright,
                taken_s: photo.taken_s,
                taken_offset_min: None,
                gps: None,
                camera: None,
            };
            let embedding = Embedding::normalize(photo.vector.to_vec()).unwrap();
            Entry::Embedded { root, path, stamp, hash, metadata, embedding }
        };
        photo.paths.iter().enumerate().map(entry).collect()
    }

    pub(crate) fn remove(&self, photo: &Photo) {
        let paths: Vec<_> = photo.paths.iter().map(|path| relative(path)).collect();
        self.writer.remove_locations(self.root, &paths).unwrap();
    }

    pub(crate) fn publish(&self) -> Snapshot {
        self.writer.publish(&PublishOptions { build_graph: true }, &mut |_| {}).unwrap();
        Snapshot::open(self.dir.path()).unwrap()
    }
}

/// What stands for the bytes of the photo of this number.
pub(crate) fn content(number: usize) -> ContentHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
    ContentHash(hash)
}

fn relative(path: &str) -> RelativePath {
    RelativePath::from_path(Path::new(path)).unwrap()
}

/// Makes nonsense of the record of this file in what is published.
pub(crate) fn damage(index: &Index, file_name: &str) {
    let newest = Snapshot::open(index.dir.path()).unwrap().generation();
    let items = index.dir.path().join(format!("gen-{newest}/items.bin"));
    let mut bytes = std::fs::read(&items).unwrap();
    let name = file_name.as_bytes();
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at..at + name.len()].fill(b'/');
    std::fs::write(&items, bytes).unwrap();
}

pub(crate) fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
