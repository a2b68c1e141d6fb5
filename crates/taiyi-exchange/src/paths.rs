//! From an `image_path` as a collection has it to an absolute path.

use std::path::{Component, Path, PathBuf};

/// Where the pictures of a collection are, as far as the collection does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathRules {
    /// The folder, absolute, that relative paths begin at.
    pub root: Option<PathBuf>,
    /// A folder that the collection's paths lie below, and that is taken off them: what is left begins at `root`.
    pub strip: Option<PathBuf>,
}

impl PathRules {
    /// The absolute path, without `.` and doubled separators; the error says what is wrong with it.
    pub(crate) fn absolute(&self, stored: &[u8]) -> Result<PathBuf, String> {
        let shown = || String::from_utf8_lossy(stored).into_owned();
        if stored.contains(&0) {
            return Err(format!("image_path {:?} contains a NUL character", shown()));
        }
        let path = from_bytes(stored).ok_or_else(|| format!("image_path {:?} is not UTF-8", shown()))?;
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(format!("image_path {:?} contains `..`", shown()));
        }
        let rest = match &self.strip {
            Some(strip) => path.strip_prefix(strip).map_err(|_| {
                format!(
                    "image_path {:?} does not begin with {}, which --strip is to take off",
                    shown(),
                    strip.display()
                )
            })?,
            None => path,
        };
        let joined = match &self.root {
            Some(_) if rest.is_absolute() => {
                return Err(format!(
                    "image_path {:?} is absolute, and --root is for relative ones: leave --root away, or say with \
                     --strip FOLDER what to take off",
                    shown()
                ));
            }
            Some(root) => root.join(rest),
            None if rest.is_absolute() => rest.to_owned(),
            None => {
                return Err(format!(
                    "image_path {:?} is relative: say with --root DIR which folder it begins at",
                    shown()
                ));
            }
        };
        if rest.file_name().is_none() {
            return Err(format!("image_path {:?} names no file", shown()));
        }
        Ok(joined.components().filter(|part| *part != Component::CurDir).collect())
    }
}

#[cfg(unix)]
fn from_bytes(bytes: &[u8]) -> Option<&Path> {
    Some(Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn from_bytes(bytes: &[u8]) -> Option<&Path> {
    std::str::from_utf8(bytes).ok().map(Path::new)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn rules(root: &str, strip: &str) -> PathRules {
        let some = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
        PathRules { root: some(root), strip: some(strip) }
    }

    #[test]
    fn paths_become_absolute() {
        for (root, strip, stored, expected) in [
            ("", "", "/照片/a.jpg", "/照片/a.jpg"),
            ("", "", "/照片//./a.jpg", "/照片/a.jpg"),
            ("/r", "", "x/a.jpg", "/r/x/a.jpg"),
            ("/r", "", "./a.jpg", "/r/a.jpg"),
            ("/new", "/old", "/old/x/a.jpg", "/new/x/a.jpg"),
            ("/new", "data", "data/a.jpg", "/new/a.jpg"),
        ] {
            assert_eq!(
                rules(root, strip).absolute(stored.as_bytes()),
                Ok(PathBuf::from(expected)),
                "{stored}"
            );
        }
    }

    #[test]
    fn what_cannot_be_placed_is_refused() {
        for (root, strip, stored, expected) in [
            ("", "", "a.jpg", "--root DIR"),
            ("/r", "", "/a.jpg", "--strip FOLDER"),
            ("/new", "/old", "/older/a.jpg", "does not begin with /old"),
            ("/r", "", "../a.jpg", "`..`"),
            ("", "", "/a/../b.jpg", "`..`"),
            ("/r", "", "", "names no file"),
            ("", "", "/", "names no file"),
            ("/new", "/old", "/old", "names no file"),
            ("", "", "/a\0b", "NUL"),
        ] {
            let error = rules(root, strip).absolute(stored.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{stored}: {error}");
        }
    }
}
