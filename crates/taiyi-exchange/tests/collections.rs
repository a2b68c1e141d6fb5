//! Collections put together from files that NumPy, pandas and pyarrow wrote, and collections written here.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use taiyi_core::Embedding;
use taiyi_exchange::npy::Dtype;
use taiyi_exchange::{
    Collection, CollectionWriter, ExchangeError, ExportOptions, ExportedPicture, PathRules, Row,
};
use tempfile::TempDir;

const PATHS: [&str; 3] = ["/照片/猫.jpg", "/照片/狗 2.png", "/照片/旅行/海边.webp"];

fn data(name: &str) -> Vec<u8> {
    let folder = name.rsplit_once('.').unwrap().1;
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder).join(name)).unwrap()
}

/// A collection of pairs of files.
fn collection(parts: &[(&[u8], &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["img_emb", "metadata"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for (number, (vectors, table)) in parts.iter().enumerate() {
        fs::write(dir.path().join(format!("img_emb/img_emb_{number}.npy")), vectors).unwrap();
        fs::write(dir.path().join(format!("metadata/metadata_{number}.parquet")), table).unwrap();
    }
    dir
}

fn read(dir: &Path) -> Result<Vec<Row>, ExchangeError> {
    Collection::open(dir, PathRules::default())?.rows().collect()
}

fn read_pair(vectors: &str, table: &str) -> Result<Vec<Row>, ExchangeError> {
    read(collection(&[(&data(vectors), &data(table))]).path())
}

fn refused(vectors: &str, table: &str) -> String {
    match read_pair(vectors, table) {
        Ok(rows) => panic!("{vectors} and {table} were taken: {rows:?}"),
        Err(e) => e.to_string(),
    }
}

fn paths(rows: &[Row]) -> Vec<&Path> {
    rows.iter().map(|row| row.path.as_path()).collect()
}

#[test]
fn every_form_of_text_and_compression_is_the_same() {
    for name in [
        "pandas",
        "category",
        "string",
        "large-string",
        "string-view",
        "dictionary",
        "required",
        "none",
        "snappy",
        "gzip",
        "zstd",
        "lz4",
        "groups",
        "pages-2",
        "plain",
        "delta-byte-array",
        "delta-length-byte-array",
    ] {
        let rows = read_pair("f16.npy", &format!("{name}.parquet")).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(paths(&rows), PATHS.map(Path::new), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn paths_of_bytes_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStrExt as _;
    let rows = read_pair("f16.npy", "binary.parquet").unwrap();
    assert_eq!(rows[1].path.as_os_str().as_bytes(), b"/\xff\xfe.jpg");
}

#[test]
fn every_kind_of_array_is_the_same() {
    for name in ["f32", "version-2", "version-3"] {
        let rows = read_pair(&format!("{name}.npy"), "pandas.parquet").unwrap();
        assert_eq!(rows[0].embedding.as_slice(), [1.0, 0.0, 0.0, 0.0], "{name}");
        assert_eq!(rows[2].embedding.as_slice(), [0.0, 0.0, 0.6, 0.8], "{name}: bit for bit");
    }
    let rows = read_pair("f16.npy", "pandas.parquet").unwrap();
    assert!((rows[2].embedding.as_slice()[2] - 0.6).abs() < 1e-3);
    let length = rows[2].embedding.as_slice().iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((length - 1.0).abs() < 1e-6, "of unit length again");
}

#[test]
fn arrays_of_another_kind_are_refused() {
    for (name, expected) in [
        ("f64", "type <f8, expected f16 or f32"),
        ("big-endian", "big-endian (>f2)"),
        ("fortran", "Fortran order"),
        ("flat", "1 dimension, expected 2"),
        ("records", "of type record"),
        ("nan", "row 1 (the first is 0): component 3 of the vector is NaN or infinite"),
        ("infinite", "row 2 (the first is 0): component 3"),
        ("long", "row 1 (the first is 0): the vector has length 3.0000, expected 1"),
        ("zero", "row 0 (the first is 0): the vector has length 0.0000"),
    ] {
        let error = refused(&format!("{name}.npy"), "pandas.parquet");
        assert!(error.contains(expected) && error.contains("img_emb_0.npy"), "{name}: {error}");
    }
}

#[test]
fn tables_of_another_kind_are_refused() {
    for (name, expected) in [
        ("null", "row 1 (the first is 0): image_path is null"),
        ("no-column", "has no column image_path, only url, caption"),
        ("list", "has no column image_path"),
        ("struct", "has no column image_path"),
        ("integer", "image_path holds INT64, expected text or bytes"),
        ("fixed", "holds FIXED_LEN_BYTE_ARRAY"),
        ("brotli", "brotli"),
        ("bomb", "is more than is read at once"),
    ] {
        let error = refused("f16.npy", &format!("{name}.parquet"));
        assert!(error.contains(expected) && error.contains("metadata_0.parquet"), "{name}: {error}");
    }
}

#[test]
fn parts_must_fit_together() {
    let (f16, table) = (data("f16.npy"), data("pandas.parquet"));
    let rows = read(collection(&[(&f16, &table), (&data("f32.npy"), &table)]).path()).unwrap();
    assert_eq!(rows.len(), 6);

    let wide = array(Dtype::F32, &[vec![1.0, 0.0, 0.0], vec![1.0, 0.0, 0.0], vec![1.0, 0.0, 0.0]]);
    let error = read(collection(&[(&f16, &table), (&wide, &table)]).path()).unwrap_err().to_string();
    assert!(error.contains("img_emb_1.npy: its rows have 3 components, those of"), "{error}");

    let short = array(Dtype::F16, &[vec![1.0, 0.0, 0.0, 0.0]]);
    let error = read(collection(&[(&f16, &table), (&short, &table)]).path()).unwrap_err().to_string();
    assert!(error.contains("metadata_1.parquet: it has 3 rows, but") && error.contains("has 1"), "{error}");
}

#[test]
fn a_row_of_a_bad_path_is_named() {
    let dir = collection(&[(&data("f16.npy"), &data("pandas.parquet"))]);
    let rules = PathRules { root: Some(PathBuf::from("/new")), strip: Some(PathBuf::from("/照片/旅行")) };
    let rows: Vec<_> = Collection::open(dir.path(), rules).unwrap().rows().collect();
    assert_eq!(rows.len(), 1, "an error is the last row");
    let error = rows[0].as_ref().unwrap_err().to_string();
    assert!(
        error.contains("metadata_0.parquet, row 0 (the first is 0): image_path \"/照片/猫.jpg\""),
        "{error}"
    );
}

/// A NumPy array of these rows, as this crate writes it.
fn array(dtype: Dtype, rows: &[Vec<f32>]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let options =
        ExportOptions { dimension: rows[0].len(), dtype, part_rows: NonZeroU64::new(1 << 20).unwrap() };
    let mut writer = CollectionWriter::create(&out, options).unwrap();
    for row in rows {
        let embedding = Embedding::normalize(row.clone()).unwrap();
        push(&mut writer, Path::new("/a.jpg"), &embedding);
    }
    writer.finish().unwrap();
    fs::read(out.join("img_emb/img_emb_0000.npy")).unwrap()
}

const SIZE: Option<(u32, u32)> = Some((4000, 3000));
/// Before 1970, where rounding goes the other way.
const TAKEN: Option<i64> = Some(-1);

fn push(writer: &mut CollectionWriter, path: &Path, embedding: &Embedding) -> bool {
    let (size, taken_s, blake3) = (SIZE, TAKEN, Some("00ff"));
    writer.push(&ExportedPicture { path, embedding, size, taken_s, blake3 }).unwrap()
}

fn options(dtype: Dtype, part_rows: u64) -> ExportOptions {
    ExportOptions { dimension: 3, dtype, part_rows: NonZeroU64::new(part_rows).unwrap() }
}

#[test]
fn what_is_written_is_read() {
    for (dtype, tolerance) in [(Dtype::F32, 0.0), (Dtype::F16, 1e-3)] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("新/collection");
        let mut writer = CollectionWriter::create(&out, options(dtype, 4)).unwrap();
        let rows: Vec<Row> = (0..10u8)
            .map(|n| Row {
                path: PathBuf::from(format!("/照片/{n}.jpg")),
                embedding: Embedding::normalize(vec![f32::from(n), 1.0, -0.3]).unwrap(),
                size: SIZE,
                taken_s: TAKEN,
            })
            .collect();
        for row in &rows {
            assert!(push(&mut writer, &row.path, &row.embedding));
        }
        assert!(!out.exists(), "whole or not at all");
        let written = writer.finish().unwrap();
        assert_eq!((written.rows, written.parts), (10, 3));
        let back = read(&out).unwrap();
        assert_eq!(paths(&back), paths(&rows));
        for (row, back) in rows.iter().zip(&back) {
            assert_eq!((back.size, back.taken_s), (row.size, row.taken_s));
            for (a, b) in row.embedding.as_slice().iter().zip(back.embedding.as_slice()) {
                assert!((a - b).abs() <= tolerance, "{a} {b}");
            }
        }
        assert_eq!(fs::read_dir(dir.path().join("新")).unwrap().count(), 1, "nothing is left beside it");
    }
}

/// A table of one row group, as the writer is told to make it.
fn table_of(paths: &[String], schema: &str, properties: WriterProperties) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let is_optional = schema.get_fields()[0].is_optional();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = paths.iter().map(|path| path.as_str().into()).collect();
    let levels = vec![1; values.len()];
    column.typed::<ByteArrayType>().write_batch(&values, is_optional.then_some(&levels), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_row_group_of_many_pages_is_read_page_by_page() {
    let paths: Vec<String> = (0..20_000).map(|n| format!("/照片/{}/{n}.jpg", n / 64)).collect();
    let vectors = array(Dtype::F16, &vec![vec![1.0, 0.0]; paths.len()]);
    let builder = || WriterProperties::builder().set_data_page_size_limit(4 << 10).set_write_batch_size(64);
    let (v1, v2) = (WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0);
    let plain = || builder().set_dictionary_enabled(false);
    for (name, properties) in [
        ("dictionary", builder()),
        ("dictionary that grew too large", builder().set_dictionary_page_size_limit(16 << 10)),
        ("plain", plain()),
        ("snappy", plain().set_compression(Compression::SNAPPY)),
        ("gzip", plain().set_compression(Compression::GZIP(GzipLevel::default()))),
        ("zstd", plain().set_compression(Compression::ZSTD(ZstdLevel::default()))),
        ("statistics", plain().set_statistics_enabled(EnabledStatistics::Page)),
        ("pages 2", builder().set_writer_version(v2).set_compression(Compression::SNAPPY)),
        ("lengths", plain().set_writer_version(v1).set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY)),
        ("prefixes", plain().set_writer_version(v2).set_encoding(Encoding::DELTA_BYTE_ARRAY)),
        ("prefixes in pages 1", plain().set_writer_version(v1).set_encoding(Encoding::DELTA_BYTE_ARRAY)),
    ] {
        for presence in ["required", "optional"] {
            let schema = format!("message m {{ {presence} binary image_path (STRING); }}");
            let table = table_of(&paths, &schema, properties.clone().build());
            let rows = read(collection(&[(&vectors, &table)]).path());
            let rows = rows.unwrap_or_else(|e| panic!("{name}, {presence}: {e}"));
            assert!(
                rows.iter().map(|row| row.path.to_str().unwrap()).eq(paths.iter().map(String::as_str)),
                "{name}, {presence}"
            );
        }
    }
}

#[test]
fn a_page_that_unpacks_to_more_than_it_may_is_refused() {
    // Many times the same path: kilobytes in the file, 300 MB in memory, whatever the file's end says of it.
    let path = format!("/{}", "a".repeat(30_000));
    let paths = vec![path; 10_000];
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_size_limit(1 << 30)
        .build();
    let table = table_of(&paths, "message m { required binary image_path (STRING); }", properties);
    assert!(table.len() < 1 << 20, "{}", table.len());
    let dir = collection(&[(&array(Dtype::F16, &vec![vec![1.0, 0.0]; 10_000]), &table)]);
    let error = read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is more than is read at once: smaller row groups"), "{error}");
    assert!(error.contains("metadata_0.parquet"), "{error}");
}

/// A table of no rows, as far as its footer is looked at: a column of paths in so many groups in groups.
fn nested_table(groups: u32) -> Vec<u8> {
    let count = groups + 2;
    let count = [0x80 | (count & 0x7f) as u8, 0x80 | (count >> 7 & 0x7f) as u8, (count >> 14) as u8];
    let group = [0x35, 0x00, 0x18, 0x01, b'g', 0x15, 0x02, 0x00];
    let path = [&[0x15, 0x0c, 0x25, 0x00, 0x18, 0x0a][..], b"image_path", &[0x00]].concat();
    let elements = [group.repeat(groups as usize + 1), path].concat();
    // The version before, no rows and no row groups behind.
    footer_table(
        &[&[0x15, 0x02, 0x19, 0xfc], &count[..], &elements, &[0x16, 0x00, 0x19, 0x0c, 0x00]].concat(),
    )
}

/// A table that is nothing but its footer.
fn footer_table(footer: &[u8]) -> Vec<u8> {
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [&b"PAR1"[..], footer, &length, b"PAR1"].concat()
}

#[test]
fn a_footer_that_takes_more_than_it_may_is_refused() {
    let refused =
        |table: &[u8]| read(collection(&[(&data("f16.npy"), table)]).path()).unwrap_err().to_string();
    for (groups, expected) in [
        (0, "it has 0 rows, but"),
        (2, "it has no column image_path, only g.image_path"),
        (65, "groups are nested more than 64 levels deep"),
        // What the Parquet reader would go down into, until there is no stack left.
        (200_000, "groups are nested more than 64 levels deep"),
    ] {
        let error = refused(&nested_table(groups));
        assert!(error.contains(expected) && error.contains("metadata_0.parquet"), "{groups}: {error}");
    }
    let error = refused(&footer_table(&vec![0; 17 << 20]));
    assert!(error.contains("a footer of 17825792 bytes is more than is read at once"), "{error}");
    let error = refused(&footer_table(&nested_table(0))[..40]);
    assert!(error.contains("cannot be read as Parquet"), "{error}");
}

#[test]
fn sides_and_times_are_read_where_they_can_be_those_of_a_picture() {
    let facts = |table: &str| {
        let rows = read_pair("f16.npy", &format!("{table}.parquet")).unwrap();
        rows.into_iter().map(|row| (row.size, row.taken_s)).collect::<Vec<_>>()
    };
    let size = Some((640, 480));
    // As img2dataset and clip-retrieval write it: what the picture was before counts for nothing.
    assert_eq!(facts("sizes"), [(size, None), (None, None), (Some((1, 2)), None)]);
    let (day, before) = (Some(1_682_949_600), Some(-1));
    for table in ["taken-ns", "taken-us", "taken-ms"] {
        assert_eq!(facts(table), [(size, day), (size, None), (size, before)], "{table}");
    }
    // Columns of these names that hold something else.
    for table in ["pandas", "other-columns"] {
        assert_eq!(facts(table), [(None, None); 3], "{table}");
    }
}

#[test]
fn a_path_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut writer = CollectionWriter::create(&out, options(Dtype::F16, 4)).unwrap();
    let embedding = Embedding::normalize(vec![1.0, 0.0, 0.0]).unwrap();
    for length in [32_767, 32_768] {
        assert!(push(&mut writer, Path::new(&format!("/{}", "a".repeat(length))), &embedding));
    }
    writer.finish().unwrap();
    let error = read(&out).unwrap_err().to_string();
    assert!(
        error.contains("metadata_0000.parquet, row 1 (the first is 0): image_path is 32769 bytes long"),
        "{error}"
    );
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut writer = CollectionWriter::create(&out, options(Dtype::F16, 4)).unwrap();
    push(&mut writer, Path::new("/a.jpg"), &Embedding::normalize(vec![1.0, 0.0, 0.0]).unwrap());
    drop(writer);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let writer = CollectionWriter::create(&out, options(Dtype::F16, 4)).unwrap();
    fs::write(&out, "meanwhile").unwrap();
    assert!(matches!(writer.finish(), Err(ExchangeError::Exists { .. })));
    assert!(matches!(
        CollectionWriter::create(&out, options(Dtype::F16, 4)),
        Err(ExchangeError::Exists { .. })
    ));
    assert_eq!(fs::read(&out).unwrap(), b"meanwhile");
}

#[test]
fn an_empty_index_is_an_empty_collection() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    CollectionWriter::create(&out, options(Dtype::F16, 4)).unwrap().finish().unwrap();
    let collection = Collection::open(&out, PathRules::default()).unwrap();
    assert!(collection.is_empty() && collection.dimension() == 3);
    assert_eq!(collection.rows().count(), 0);
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_are_left_out() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut writer = CollectionWriter::create(&out, options(Dtype::F32, 4)).unwrap();
    let embedding = Embedding::normalize(vec![1.0, 0.0, 0.0]).unwrap();
    assert!(!push(&mut writer, Path::new(std::ffi::OsStr::from_bytes(b"/\xff.jpg")), &embedding));
    assert!(push(&mut writer, Path::new("/b.jpg"), &embedding));
    writer.finish().unwrap();
    assert_eq!(paths(&read(&out).unwrap()), [Path::new("/b.jpg")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_tables_are_errors_and_no_more(
        name in prop::sample::select(vec!["pandas.parquet", "gzip.parquet", "zstd.parquet", "lz4.parquet", "plain.parquet", "pages-2.parquet"]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut table = data(name);
        for (at, byte) in damage {
            let at = at.index(table.len());
            table[at] = byte;
        }
        if let Some(cut) = cut {
            table.truncate(cut.index(table.len()));
        }
        let dir = collection(&[(&data("f16.npy"), &table)]);
        if let Ok(rows) = read(dir.path()) {
            prop_assert_eq!(rows.len(), 3);
        }
    }
}
