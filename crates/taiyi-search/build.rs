//! Lists the pictures of the demo collection, so that they can be compiled into the program.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    // Clones and `cargo install` from a path or a git address have the folder; `cargo package` would need it
    // inside the crate.
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../index-data/photos");
    let photos = photos.canonicalize().map_err(|e| {
        io::Error::new(e.kind(), format!("{}: {e}: the demo collection is missing", photos.display()))
    })?;
    writeln!(io::stdout(), "cargo::rerun-if-changed={}", photos.display())?;
    let mut pictures = Vec::new();
    list(&photos, "", &mut pictures)?;
    pictures.sort();
    let mut table = String::from("&[\n");
    for (name, path) in pictures {
        table.push_str(&format!("    ({name:?}, include_bytes!({path:?}).as_slice()),\n"));
    }
    table.push_str("]\n");
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    fs::write(PathBuf::from(out).join("collection.rs"), table)
}

/// Every file below `folder`, as its path with `/` below the collection, and its absolute path.
fn list(folder: &Path, below: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| io::Error::other("a name is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{below}{name}");
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}
