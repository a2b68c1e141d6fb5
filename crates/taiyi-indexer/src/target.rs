//! From the paths that a person types to roots and what to walk below them.

use std::io;
use std::path::{Path, PathBuf};

use taiyi_store::RelativePath;

use crate::IndexError;

/// Something to walk: a root, or one folder or file below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Absolute path of the root.
    pub root: PathBuf,
    /// The folder or file below the root that is meant; the whole root if `None`.
    pub below: Option<RelativePath>,
}

impl Target {
    /// Absolute path of what is walked.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match &self.below {
            Some(below) => self.root.join(below.to_path()),
            None => self.root.clone(),
        }
    }
}

/// The outcome of [`resolve_targets`].
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// What can be walked; none contains another.
    pub found: Vec<Target>,
    /// What cannot, with the reason. Nothing of it is removed from the index.
    pub missing: Vec<(PathBuf, String)>,
}

/// Makes `paths` absolute and finds the root that each belongs to.
///
/// A path below a known root is walked as part of it, so a picture never has two locations for one
/// file. A file alone gets its folder as root, of which only that file is walked.
///
/// # Errors
/// [`IndexError::NotIndexable`] for a device, a pipe and the like.
pub fn resolve_targets(paths: &[PathBuf], roots: &[PathBuf]) -> Result<Targets, IndexError> {
    let mut targets = Targets::default();
    for path in paths {
        let (absolute, is_dir) = match absolute(path) {
            Ok(found) => found,
            Err(e) => {
                targets.missing.push((path.clone(), reason(&e)));
                continue;
            }
        };
        let not_indexable = || IndexError::NotIndexable { path: path.clone() };
        let known = roots
            .iter()
            .map(PathBuf::as_path)
            .filter(|root| absolute.starts_with(root))
            .max_by_key(|root| root.components().count());
        let root = match (known, is_dir) {
            (Some(root), _) => root.to_path_buf(),
            (None, true) => absolute.clone(),
            (None, false) => absolute.parent().ok_or_else(not_indexable)?.to_path_buf(),
        };
        let rest = absolute.strip_prefix(&root).map_err(|_| not_indexable())?;
        let below = if rest.as_os_str().is_empty() {
            None
        } else {
            Some(RelativePath::from_path(rest).map_err(|_| not_indexable())?)
        };
        targets.found.push(Target { root, below });
    }
    drop_contained(&mut targets.found);
    Ok(targets)
}

fn absolute(path: &Path) -> io::Result<(PathBuf, bool)> {
    let absolute = path.canonicalize()?;
    let kind = absolute.metadata()?.file_type();
    if kind.is_dir() {
        // A folder that cannot be listed must not pass for an empty one.
        absolute.read_dir()?;
    } else if !kind.is_file() {
        return Err(io::Error::other("is neither a folder nor a regular file"));
    }
    Ok((absolute, kind.is_dir()))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "is not there (an unmounted disk?)".into(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied".into(),
        _ => error.to_string(),
    }
}

/// `photos` and `photos/2023` are one walk, whichever was named first.
fn drop_contained(targets: &mut Vec<Target>) {
    targets.sort_by_cached_key(Target::path);
    targets.dedup();
    let mut kept: Option<PathBuf> = None;
    targets.retain(|target| {
        let path = target.path();
        // Sorted by components, a folder comes right before all that it contains.
        let contained = kept.as_ref().is_some_and(|kept| path.starts_with(kept));
        if !contained {
            kept = Some(path);
        }
        !contained
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn paths_become_roots() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("照片/2023")).unwrap();
        fs::write(base.join("照片/2023/猫.jpg"), b"x").unwrap();
        let photos = base.join("照片");

        let fresh =
            resolve_targets(&[photos.join("2023"), photos.clone(), photos.join("2023/猫.jpg")], &[]).unwrap();
        assert_eq!(fresh.found, [Target { root: photos.clone(), below: None }]);

        let file = resolve_targets(&[photos.join("2023/猫.jpg")], &[]).unwrap();
        assert_eq!(file.found[0].root, photos.join("2023"));
        assert_eq!(file.found[0].path(), photos.join("2023/猫.jpg"));

        let roots = [photos.clone()];
        let below = resolve_targets(&[photos.join("2023")], &roots).unwrap();
        assert_eq!(below.found[0].root, photos);
        assert_eq!(below.found[0].path(), photos.join("2023"));

        let missing = resolve_targets(&[base.join("gone")], &roots).unwrap();
        assert!(missing.found.is_empty());
        assert!(missing.missing[0].1.contains("unmounted"));
    }
}
