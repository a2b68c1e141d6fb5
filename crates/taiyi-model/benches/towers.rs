//! Both towers and the preprocessing, of the built-in model or of the folder that `TAIYI_BENCH_MODEL` names.
//!
//! ```sh
//! TAIYI_BENCH_MODEL=MODEL cargo bench -p taiyi-model
//! ```

use std::error::Error;
use std::hint::black_box;
use std::path::PathBuf;
use std::thread::available_parallelism;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use taiyi_core::{ImageEncoder as _, PreparedImage, RgbImage, TextEncoder as _};
use taiyi_model::{Device, ImageTower, ModelFolder, ModelPlace, TextTower, TowerOptions};

fn load() -> Result<(TextTower, ImageTower), Box<dyn Error>> {
    let place = match std::env::var_os("TAIYI_BENCH_MODEL") {
        Some(folder) => ModelPlace::Folder(PathBuf::from(folder)),
        None => ModelPlace::BuiltIn,
    };
    let folder = ModelFolder::open_place(&place)?;
    let options = TowerOptions { threads: available_parallelism()?, device: Device::Cpu };
    Ok((folder.text_tower(&options)?, folder.image_tower(&options)?))
}

/// A prompt of so many tokens, the two around it included: ideographs are a token each.
fn prompt(tokens: usize) -> String {
    "老虎山水日月人海火木".chars().cycle().take(tokens.saturating_sub(2)).collect()
}

fn picture(columns: u32, rows: u32) -> RgbImage {
    let pixels = (0..columns * rows * 3).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    RgbImage::new(columns, rows, pixels).expect("as many bytes as pixels have")
}

fn towers(criterion: &mut Criterion) {
    let (text, image) = load().expect("the model can be loaded");

    let mut group = criterion.benchmark_group("text");
    for (texts, tokens) in [(1, 6), (1, 16), (1, 32), (64, 16)] {
        let prompt = prompt(tokens);
        let batch = vec![prompt.as_str(); texts];
        group.throughput(Throughput::Elements(texts as u64));
        group.bench_function(format!("{texts} of {tokens} tokens"), |bencher| {
            bencher.iter(|| black_box(text.encode_texts(&batch)));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("image");
    group.sample_size(10);
    let side = image.input_side();
    for count in [1, 8, 32] {
        let batch = vec![PreparedImage(picture(side, side)); count];
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} at once"), |bencher| {
            bencher.iter(|| black_box(image.encode_images(&batch)));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("preprocessing");
    for (columns, rows) in [(500, 375), (4000, 3000)] {
        let picture = picture(columns, rows);
        group.bench_function(format!("{columns}×{rows}"), |bencher| {
            bencher.iter(|| black_box(image.prepare(&picture)));
        });
    }
    group.finish();
}

criterion_group!(benches, towers);
criterion_main!(benches);
