//! Paths below a root, as bytes: no file name is lost to UTF-8, and a root can move.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// A path below a root: names separated by `/`, never empty, absolute, or with `.` or `..` in it.
///
/// On Unix the bytes are the file system's own. On Windows they are UTF-8; a name with unpaired
/// surrogates is refused by [`from_path`](Self::from_path).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(Box<[u8]>);

/// A path that cannot be stored below a root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a path below a root: {reason}", path.display())]
pub struct RelativePathError {
    /// The path given.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl RelativePath {
    /// Takes a path relative to its root, such as what `strip_prefix` gives.
    ///
    /// # Errors
    /// When the path is empty, absolute, contains `..`, or (on Windows) is not Unicode.
    pub fn from_path(path: &Path) -> Result<Self, RelativePathError> {
        let refuse = |reason| RelativePathError { path: path.to_owned(), reason };
        let mut bytes = Vec::with_capacity(path.as_os_str().len());
        for component in path.components() {
            match component {
                Component::Normal(name) => {
                    if !bytes.is_empty() {
                        bytes.push(b'/');
                    }
                    bytes.extend_from_slice(name_bytes(name).ok_or_else(|| refuse("it is not Unicode"))?);
                }
                Component::CurDir => {}
                Component::ParentDir => return Err(refuse("it contains `..`")),
                Component::RootDir | Component::Prefix(_) => return Err(refuse("it is absolute")),
            }
        }
        Self::from_bytes(&bytes).ok_or_else(|| refuse("it is empty"))
    }

    /// Takes bytes as [`as_bytes`](Self::as_bytes) gave them; `None` when they are no such path.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let plain = |name: &[u8]| !name.is_empty() && name != b"." && name != b".." && !name.contains(&0);
        // Elsewhere, what could be read as a drive or a separator must not come out of a stored name.
        let portable =
            || !bytes.iter().any(|b| matches!(b, b'\\' | b':')) && std::str::from_utf8(bytes).is_ok();
        let valid = bytes.split(|&b| b == b'/').all(plain) && (cfg!(unix) || portable());
        valid.then(|| Self(bytes.into()))
    }

    /// The path with the platform's separators.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        self.0.split(|&b| b == b'/').map(os_name).collect()
    }

    /// Names separated by `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// This path, below `parent`.
    #[must_use]
    pub fn below(&self, parent: &Self) -> Self {
        Self([&parent.0, &b"/"[..], &self.0].concat().into_boxed_slice())
    }

    /// Whether this is `folder` itself or lies below it.
    #[must_use]
    pub fn starts_with(&self, folder: &Self) -> bool {
        self.0.strip_prefix(&*folder.0).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_path(), f)
    }
}

#[cfg(unix)]
fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    Some(std::os::unix::ffi::OsStrExt::as_bytes(name))
}

#[cfg(unix)]
fn os_name(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

#[cfg(not(unix))]
fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    name.to_str().map(str::as_bytes)
}

#[cfg(not(unix))]
fn os_name(bytes: &[u8]) -> &OsStr {
    // `from_bytes` has checked; an empty name cannot escape the root.
    OsStr::new(std::str::from_utf8(bytes).unwrap_or(""))
}

/// An absolute path as stored for a root; `None` where it has no form in bytes.
pub(crate) fn root_bytes(path: &Path) -> Option<&[u8]> {
    name_bytes(path.as_os_str())
}

/// Reads what [`root_bytes`] gave.
pub(crate) fn root_path(bytes: &[u8]) -> Option<PathBuf> {
    if bytes.is_empty() || (cfg!(not(unix)) && std::str::from_utf8(bytes).is_err()) {
        return None;
    }
    Some(PathBuf::from(os_name(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_paths_below_a_root_are_taken() {
        for bad in ["", ".", "/a", "..", "a/../b"] {
            assert!(RelativePath::from_path(Path::new(bad)).is_err(), "{bad}");
        }
        for bad in [&b""[..], b"/", b"a//b", b"a/", b"/a", b"..", b"a/./b", b"a\0b"] {
            assert!(RelativePath::from_bytes(bad).is_none(), "{bad:?}");
        }
        let path = RelativePath::from_path(Path::new("./旅行//2019/鳥鳥.png")).unwrap();
        assert_eq!(path.as_bytes(), "旅行/2019/鳥鳥.png".as_bytes());
        assert_eq!(path.to_path(), Path::new("旅行/2019/鳥鳥.png"));
    }

    #[test]
    fn a_folder_is_not_a_prefix_of_its_longer_named_neighbour() {
        let path = |s| RelativePath::from_path(Path::new(s)).unwrap();
        assert!(path("a/b").starts_with(&path("a")) && path("a").starts_with(&path("a")));
        assert!(!path("ab").starts_with(&path("a")) && !path("a").starts_with(&path("a/b")));
        assert_eq!(path("c.jpg").below(&path("a/b")), path("a/b/c.jpg"));
    }

    #[cfg(unix)]
    proptest! {
        #[test]
        fn every_unix_name_survives(names in prop::collection::vec(prop::collection::vec(1u8.., 1..12), 1..4)) {
            let names: Vec<Vec<u8>> =
                names.into_iter().map(|n| n.into_iter().map(|b| if b == b'/' { b'_' } else { b }).collect()).collect();
            prop_assume!(names.iter().all(|n| n != b"." && n != b".."));
            let path: PathBuf = names.iter().map(|n| os_name(n)).collect();
            let stored = RelativePath::from_path(&path).unwrap();
            prop_assert_eq!(stored.to_path(), path);
            prop_assert_eq!(RelativePath::from_bytes(stored.as_bytes()), Some(stored));
        }

        #[test]
        fn arbitrary_bytes_never_leave_the_root(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(path) = RelativePath::from_bytes(&bytes) {
                prop_assert!(path.to_path().components().all(|c| matches!(c, Component::Normal(_))));
            }
        }
    }
}
