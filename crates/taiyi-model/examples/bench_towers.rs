//! How fast a model's towers are: one JSON line. Medians, as `docs/BENCHMARKS.md` compares them.
//!
//! `text_ms`: one prompt of so many tokens; `texts_per_s`: 64 prompts of 16 tokens; `images_per_s`: a batch of so
//! many prepared pictures.
//!
//! ```sh
//! cargo run --release -p taiyi-model --example bench_towers -- MODEL [f32|int8] [THREADS] [CACHE] [DEVICE]
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use taiyi_core::{EncodeError, ImageEncoder as _, Precision, PreparedImage, RgbImage, TextEncoder as _};
use taiyi_model::{Device, ModelFolder, TowerOptions};

/// The median time of `run`, after some that do not count.
fn median_ms(
    times: usize,
    warm: usize,
    mut run: impl FnMut() -> Result<(), EncodeError>,
) -> Result<f64, EncodeError> {
    let mut measured = Vec::with_capacity(times);
    for at in 0..warm + times {
        let start = Instant::now();
        run()?;
        if at >= warm {
            measured.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    measured.sort_by(f64::total_cmp);
    Ok(measured.get(times / 2).copied().unwrap_or_default())
}

/// A prompt of so many tokens, the two around it included: ideographs are a token each.
fn prompt(tokens: usize) -> String {
    "老虎山水日月人海火木".chars().cycle().take(tokens.saturating_sub(2)).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let model = args.next().ok_or("name a model's folder")?;
    let precision = Precision::from_name(&args.next().unwrap_or_else(|| "f32".into()))
        .ok_or("the precision is f32 or int8")?;
    let threads: NonZeroUsize = args.next().unwrap_or_else(|| "2".into()).parse()?;
    let cache = args.next().map(PathBuf::from);
    let device = args.next().unwrap_or_else(|| "cpu".into());
    let device = Device::from_name(&device).ok_or("the device is cpu, or cuda in a build that has it")?;
    let folder = ModelFolder::open(Path::new(&model))?.at(precision, cache.as_deref());
    let options = TowerOptions { threads, device };

    let text = folder.text_tower(&options)?;
    let mut text_ms = BTreeMap::new();
    for tokens in [6, 16, 32] {
        let prompt = prompt(tokens);
        let ms = median_ms(9, 2, || text.encode_texts(&[&prompt]).map(|it| drop(black_box(it))))?;
        text_ms.insert(tokens, ms);
    }
    let prompt = prompt(16);
    let batch = [prompt.as_str(); 64];
    let ms = median_ms(5, 1, || text.encode_texts(&batch).map(|it| drop(black_box(it))))?;
    let texts_per_s = 64e3 / ms;
    drop(text);

    let image = folder.image_tower(&options)?;
    let side = image.input_side();
    let mut images_per_s = BTreeMap::new();
    for count in [1usize, 8, 32] {
        let pixels: Vec<u8> =
            (0..3 * side * side).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let batch = vec![PreparedImage(RgbImage::new(side, side, pixels)?); count];
        let ms = median_ms(5, 1, || image.encode_images(&batch).map(|it| drop(black_box(it))))?;
        images_per_s.insert(count, count as f64 * 1e3 / ms);
    }
    println!(
        "{}",
        serde_json::json!({
            "peer": format!("taiyi-{precision}"),
            "threads": threads,
            "text_ms": text_ms,
            "images_per_s": images_per_s,
            "texts_per_s": texts_per_s,
        })
    );
    Ok(())
}
