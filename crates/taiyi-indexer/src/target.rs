//! From the paths that a person types to roots and what to walk below them.

use std::io;
use std::path::{Path, PathBuf};

use taiyi_store::{RelativePath, Root};

use crate::IndexError;

/// Something to walk: a root, or one folder or file below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Absolute path of the root.
    pub root: PathBuf,
    /// The folder or file below the root that is meant; the whole root if `None`.
    pub below: Option<RelativePath>,
    /// Pass over files that the index does not know: only some files of this root were ever named.
    pub known_only: bool,
}

impl Target {
    /// All that is indexed of a root.
    #[must_use]
    pub fn root(root: &Root) -> Self {
        Self { root: root.path.clone(), below: None, known_only: root.partial }
    }

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
/// file. A file alone gets its folder as root, of which only that file is walked. A root below a folder
/// that is walked stays a root of its own, and is walked with it: it may be a disk that is mounted there,
/// and when it is gone, that must not look like deleted pictures.
///
/// # Errors
/// [`IndexError::NotIndexable`] for what has no folder around it.
pub fn resolve_targets(paths: &[PathBuf], roots: &[Root]) -> Result<Targets, IndexError> {
    let mut targets = Targets::default();
    let mut found = Vec::new();
    for path in paths {
        match absolute(path) {
            Ok(place) => found.push(place),
            Err(e) => targets.missing.push((path.clone(), reason(&e))),
        }
    }
    drop_contained(&mut found);
    for (path, is_dir) in &found {
        targets.found.push(target_of(path, *is_dir, roots)?);
        for root in roots.iter().filter(|root| root.path != *path && root.path.starts_with(path)) {
            // A root of single files is merged into the folder instead.
            if !root.partial {
                add_root(&mut targets, root);
            }
        }
    }
    targets.found.dedup();
    Ok(targets)
}

/// The targets of `paths` and of every root: what a rebuild walks, and a run that names nothing.
///
/// # Errors
/// As [`resolve_targets`].
pub fn resolve_with_roots(paths: &[PathBuf], roots: &[Root]) -> Result<Targets, IndexError> {
    let mut targets = resolve_targets(paths, roots)?;
    for root in roots {
        let walked = |target: &Target| target.below.is_none() && root.path == target.root;
        let merged =
            |target: &Target| root.partial && target.below.is_none() && root.path.starts_with(&target.root);
        if !targets.found.iter().any(|target| walked(target) || merged(target)) {
            // All of a root contains any part of it that was named.
            targets.found.retain(|target| target.root != root.path || root.partial);
            add_root(&mut targets, root);
        }
    }
    Ok(targets)
}

fn target_of(path: &Path, is_dir: bool, roots: &[Root]) -> Result<Target, IndexError> {
    let not_indexable = || IndexError::NotIndexable { path: path.to_path_buf() };
    let known = roots
        .iter()
        .map(|root| root.path.as_path())
        .filter(|root| path.starts_with(root))
        .max_by_key(|root| root.components().count());
    let root = match known {
        Some(root) => root,
        None if is_dir => path,
        None => path.parent().ok_or_else(not_indexable)?,
    };
    let rest = path.strip_prefix(root).map_err(|_| not_indexable())?;
    let below = match rest.as_os_str().is_empty() {
        true => None,
        false => Some(RelativePath::from_path(rest).map_err(|_| not_indexable())?),
    };
    Ok(Target { root: root.to_path_buf(), below, known_only: false })
}

fn add_root(targets: &mut Targets, root: &Root) {
    match absolute(&root.path) {
        Ok(_) => targets.found.push(Target::root(root)),
        Err(e) => targets.missing.push((root.path.clone(), reason(&e))),
    }
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
fn drop_contained(found: &mut Vec<(PathBuf, bool)>) {
    // Sorted by components, a folder comes right before all that it contains.
    found.sort();
    let mut kept: Option<PathBuf> = None;
    found.retain(|(path, _)| {
        let contained = kept.as_ref().is_some_and(|kept| path.starts_with(kept));
        if !contained {
            kept = Some(path.clone());
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
        assert_eq!(fresh.found, [Target { root: photos.clone(), below: None, known_only: false }]);

        let file = resolve_targets(&[photos.join("2023/猫.jpg")], &[]).unwrap();
        assert_eq!(file.found[0].root, photos.join("2023"));
        assert_eq!(file.found[0].path(), photos.join("2023/猫.jpg"));

        let missing = resolve_targets(&[base.join("gone")], &[]).unwrap();
        assert!(missing.found.is_empty());
        assert!(missing.missing[0].1.contains("unmounted"));
    }
}
