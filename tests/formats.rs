//! Every format of pictures, and what pictures say of themselves.

use image::codecs::pnm::{PnmSubtype, SampleEncoding};
use image::{DynamicImage, ImageFormat};

use crate::harness::{Sandbox, assert_counts, set_modified};
use crate::pictures::{self, Exif, jpeg_with_exif};

/// Files of the picture `seed` without any loss, by name and by the format that they are.
fn lossless(seed: u64) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let rgb = || DynamicImage::ImageRgb8(pictures::scene(seed));
    let plain = |format| pictures::encode(&rgb(), format);
    let rgba = DynamicImage::ImageRgba8(rgb().to_rgba8());
    // Twice the 8 bits side by side are the same shade in 16.
    let deep =
        DynamicImage::ImageRgb16(image::ImageBuffer::from_fn(rgb().width(), rgb().height(), |x, y| {
            image::Rgb(pictures::scene(seed).get_pixel(x, y).0.map(|v| u16::from(v) * 257))
        }));
    let icon = pictures::encode(&rgba, ImageFormat::Ico);
    vec![
        ("a.png", "png", plain(ImageFormat::Png)),
        ("a-palette.png", "png", pictures::palette_png(seed)),
        ("a-alpha.png", "png", pictures::encode(&rgba, ImageFormat::Png)),
        ("a-16.png", "png", pictures::encode(&deep, ImageFormat::Png)),
        ("a.webp", "webp", plain(ImageFormat::WebP)),
        ("a.gif", "gif", pictures::encode(&rgba, ImageFormat::Gif)),
        ("a.bmp", "bmp", plain(ImageFormat::Bmp)),
        ("a.tiff", "tiff", plain(ImageFormat::Tiff)),
        ("a-16.tif", "tiff", pictures::encode(&deep, ImageFormat::Tiff)),
        ("a.ppm", "pnm", pictures::binary_ppm(seed)),
        ("a-text.ppm", "pnm", pictures::pnm(&rgb(), PnmSubtype::Pixmap(SampleEncoding::Ascii))),
        ("a.pam", "pnm", pictures::pnm(&rgb(), PnmSubtype::ArbitraryMap)),
        ("a.ico", "ico", icon),
        ("a.tga", "tga", plain(ImageFormat::Tga)),
        ("a.qoi", "qoi", plain(ImageFormat::Qoi)),
    ]
}

#[test]
fn every_format_is_indexed_and_found_by_its_own_pixels() {
    let s = Sandbox::new();
    let mut expected = Vec::new();
    // Each format has a picture of its own, so that being found first means something.
    for (n, seed) in (0..lossless(0).len()).zip(100..) {
        let (name, format, bytes) = lossless(seed).swap_remove(n);
        s.write(format!("photos/{name}"), &bytes);
        expected.push((seed, name, format));
    }
    let count = expected.len() as u64;
    assert_counts(&s.index(&["photos"]), &[("added", count)]);
    for (seed, name, format) in expected {
        // Through a file that is in no folder indexed, and of no content that is.
        let other = if name == "a.bmp" { ImageFormat::Qoi } else { ImageFormat::Bmp };
        let own = s.write("own", &pictures::encode_rgb(pictures::scene(seed), other));
        let answer =
            s.run(&["query", "--format", "json", "-k", "1", "--image", own.to_str().unwrap()]).json();
        let hit = &answer["hits"][0];
        assert_eq!(s.short(hit["path"].as_str().unwrap()), name);
        assert_eq!(hit["format"], format, "{name}");
        assert!(hit["score"].as_f64().unwrap() > 0.9999, "{name}: {hit}");
        let scene = pictures::scene(seed);
        assert_eq!(
            (&hit["width"], &hit["height"]),
            (&scene.width().into(), &scene.height().into()),
            "{name}"
        );
    }
}

#[test]
fn lossy_and_grey_pictures_are_found_by_their_originals() {
    let s = Sandbox::new();
    for seed in 1..=4 {
        s.write(format!("photos/{seed}.jpeg"), &pictures::jpeg(seed));
        s.write(
            format!("photos/{seed}-touched.png"),
            &pictures::encode_rgb(pictures::retouched(seed), ImageFormat::Png),
        );
    }
    let grey = DynamicImage::ImageLuma8(DynamicImage::ImageRgb8(pictures::scene(5)).to_luma8());
    s.write("photos/grey.jpg", &pictures::encode(&grey, ImageFormat::Jpeg));
    s.write("photos/grey.pgm", &pictures::pnm(&grey, PnmSubtype::Graymap(SampleEncoding::Binary)));
    assert_counts(&s.index(&["photos"]), &[("added", 10)]);
    for seed in 1..=4 {
        let own = s.write("own.png", &pictures::png(seed));
        let mut hits = s.hits(&["--image", own.to_str().unwrap(), "-k", "2"]);
        hits.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(hits[0].0, format!("{seed}-touched.png"));
        assert_eq!(hits[1].0, format!("{seed}.jpeg"));
    }
    let own = s.write("own.png", &pictures::encode(&grey, ImageFormat::Png));
    let hits = s.hits(&["--image", own.to_str().unwrap(), "-k", "2"]);
    assert_eq!(hits[0].0, "grey.pgm", "{hits:?}");
    assert_eq!(hits[1].0, "grey.jpg", "{hits:?}");
}

#[test]
fn the_format_is_told_by_content_not_by_name() {
    let s = Sandbox::new();
    s.paint("其实是PNG.JPG", 1);
    s.write("photos/其实是JPEG.png", &pictures::jpeg(2));
    s.paint("没有扩展名", 3);
    s.write("photos/大写.TIFF", &pictures::encode_rgb(pictures::scene(4), ImageFormat::Tiff));
    s.write("photos/大写.TGA", &pictures::encode_rgb(pictures::scene(5), ImageFormat::Tga));
    s.paint("照片.txt", 6);
    s.paint("大写.PNG", 7);
    assert_counts(&s.index(&["photos"]), &[("added", 7)]);
    let answer = s.run(&["query", "--format", "json", "老虎"]).json();
    let mut formats: Vec<_> = answer["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| (s.short(hit["path"].as_str().unwrap()), hit["format"].as_str().unwrap()))
        .collect();
    formats.sort();
    let mut expected = [
        ("其实是PNG.JPG", "png"),
        ("其实是JPEG.png", "jpeg"),
        ("没有扩展名", "png"),
        ("大写.TIFF", "tiff"),
        ("大写.TGA", "tga"),
        ("照片.txt", "png"),
        ("大写.PNG", "png"),
    ]
    .map(|(name, format)| (name.to_owned(), format));
    expected.sort();
    assert_eq!(formats, expected);
}

#[test]
fn what_a_photo_says_of_itself_stands_in_the_answer() {
    let s = Sandbox::new();
    let exif = Exif {
        taken: Some("2023:05:01 12:34:56"),
        orientation: Some(6),
        make: Some("Canon"),
        model: Some("Canon EOS R5"),
        place: Some([31, 15, 121, 30]),
    };
    s.write("photos/旅行.jpg", &jpeg_with_exif(1, &exif));
    let plain = s.paint("截图.png", 2);
    set_modified(&plain, 1_682_899_200); // 2023-05-01T00:00:00Z
    s.index(&["photos"]);
    let answer = s.run(&["query", "--format", "json", "老虎"]).json();
    let hits = answer["hits"].as_array().unwrap();
    let hit = |name: &str| hits.iter().find(|hit| s.short(hit["path"].as_str().unwrap()) == name).unwrap();

    let photo = hit("旅行.jpg");
    assert_eq!(photo["taken"], "2023-05-01T12:34:56");
    assert_eq!(photo["orientation"], 6);
    assert_eq!(photo["camera"], "Canon EOS R5");
    assert!((photo["gps"]["latitude"].as_f64().unwrap() - 31.25).abs() < 1e-9, "{photo}");
    assert!((photo["gps"]["longitude"].as_f64().unwrap() - 121.5).abs() < 1e-9, "{photo}");
    assert!(photo.get("modified").is_none());
    // Upright, its sides trade places.
    let stored = pictures::scene(1);
    assert_eq!((&photo["width"], &photo["height"]), (&stored.height().into(), &stored.width().into()));

    let picture = hit("截图.png");
    assert_eq!(picture["taken"], serde_json::Value::Null);
    assert_eq!(picture["modified"], "2023-05-01T08:00:00", "by the clock on the wall");
    assert_eq!(picture["orientation"], 1);
    assert!(picture.get("gps").is_none() && picture.get("camera").is_none());
}

#[test]
fn a_turned_photo_is_found_by_how_it_looks() {
    let s = Sandbox::new();
    for (orientation, seed) in (1..=8).zip(20..) {
        let exif = Exif { orientation: Some(orientation), ..Exif::default() };
        s.write(format!("photos/{orientation}.jpg"), &jpeg_with_exif(seed, &exif));
    }
    s.index(&["photos"]);
    for (orientation, seed) in (1..=8).zip(20..) {
        let stored = DynamicImage::ImageRgb8(pictures::scene(seed));
        let upright = match orientation {
            2 => stored.fliph(),
            3 => stored.rotate180(),
            4 => stored.flipv(),
            5 => stored.rotate90().fliph(),
            6 => stored.rotate90(),
            7 => stored.rotate270().fliph(),
            8 => stored.rotate270(),
            _ => stored,
        };
        let own = s.write("own.png", &pictures::encode(&upright, ImageFormat::Png));
        let hits = s.hits(&["--image", own.to_str().unwrap(), "-k", "1"]);
        assert_eq!(hits[0].0, format!("{orientation}.jpg"));
    }
}

#[test]
fn dates_narrow_the_search() {
    let s = Sandbox::new();
    let taken = |seed, taken| jpeg_with_exif(seed, &Exif { taken: Some(taken), ..Exif::default() });
    s.write("photos/2021.jpg", &taken(1, "2021:07:15 08:00:00"));
    s.write("photos/五月.jpg", &taken(2, "2023:05:31 23:59:59"));
    s.write("photos/六月.jpg", &taken(3, "2023:06:01 00:00:00"));
    let plain = s.paint("改.png", 4);
    set_modified(&plain, 1_577_809_800); // 2019-12-31T16:30:00Z, half past midnight in Beijing
    s.index(&["photos"]);
    let found = |args: &[&str]| {
        let output = s.run(&[&["query", "老虎"], args].concat());
        if output.code == Some(1) {
            return Vec::new();
        }
        let mut names: Vec<String> = output.succeeded().text().lines().map(|line| s.short(line)).collect();
        names.sort();
        names
    };
    assert_eq!(found(&["--after", "2023"]), ["五月.jpg", "六月.jpg"]);
    assert_eq!(found(&["--after", "2023-06"]), ["六月.jpg"]);
    assert_eq!(found(&["--before", "2023年6月1日"]), ["2021.jpg", "五月.jpg", "改.png"]);
    assert_eq!(found(&["--after", "2020", "--before", "2020/1/2"]), ["改.png"]);
    assert_eq!(found(&["--before", "2020-01-01"]), [""; 0]);
    assert_eq!(found(&["--after", "２０２１年７月", "--before", "2021.8"]), ["2021.jpg"]);
    assert_eq!(found(&["--after", "2024"]), [""; 0]);

    let in_prompt = s.run(&["query", "老虎 after:2023-05 before：2023-06"]);
    assert_eq!(in_prompt.succeeded().text(), format!("{}\n", s.photo("五月.jpg").display()));
}

#[test]
fn paths_narrow_the_search() {
    let s = Sandbox::new();
    for (seed, path) in [(1, "旅行/三亚/1.png"), (2, "旅行/2.png"), (3, "家/3.png"), (4, "家/旅行社.png")]
    {
        s.paint(path, seed);
    }
    s.write("photos/家/4.JPG", &pictures::jpeg(5));
    // The same content within and without the folder: the place that fits is told first.
    s.paint("备份/2.png", 2);
    s.index(&["photos"]);
    let found = |patterns: &[&str]| {
        let mut args = vec!["query", "老虎"];
        for pattern in patterns {
            args.extend(["--path", pattern]);
        }
        let output = s.run(&args);
        let mut names: Vec<String> = output.text().lines().map(|line| s.short(line)).collect();
        assert_eq!(output.code, Some(i32::from(names.is_empty())), "{}", output.stderr);
        names.sort();
        names
    };
    assert_eq!(found(&["旅行/"]), ["旅行/2.png", "旅行/三亚/1.png"]);
    assert_eq!(found(&["*.jpg"]), ["家/4.JPG"]);
    assert_eq!(found(&["旅行/*.png"]), ["旅行/2.png"]);
    assert_eq!(found(&["备份/"]), ["备份/2.png"]);
    assert_eq!(found(&["家/", "*.png"]), ["家/3.png", "家/旅行社.png"]);
    assert_eq!(found(&["没有/"]), [""; 0]);
    let absolute = format!("{}/家/*", s.photo("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!(found(&[&absolute]), ["家/3.png", "家/4.JPG", "家/旅行社.png"]);
    let in_prompt = s.run(&["query", "老虎 path:家/ path:*.png"]);
    assert_eq!(in_prompt.succeeded().text().lines().count(), 2);
}
