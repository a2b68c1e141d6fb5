//! Programs outside: the picture viewer and the file manager.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What opens `path`, to be run on a thread that may wait. `viewer` is a program with its arguments; empty,
/// the system chooses.
pub(crate) fn open(viewer: &[String], path: &Path) -> impl FnOnce() -> io::Result<()> + Send + use<> {
    let (viewer, path) = (viewer.to_vec(), path.to_owned());
    move || {
        // A viewer that starts and finds nothing would tell nobody.
        std::fs::metadata(&path)?;
        match viewer.split_first() {
            None => open::that_detached(&path).map_err(|e| no_program(&e)),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&path);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let mut child = command.spawn().map_err(|e| named(program, &e))?;
                // Waited for elsewhere, so that it leaves no zombie, and is not waited for here.
                std::thread::Builder::new().name("viewer".into()).spawn(move || child.wait())?;
                Ok(())
            }
        }
    }
}

/// What opens the folder of `path`.
pub(crate) fn reveal(path: &Path) -> impl FnOnce() -> io::Result<()> + Send + use<> {
    let folder = path.parent().unwrap_or(path).to_owned();
    move || {
        std::fs::metadata(&folder)?;
        open::that_detached(&folder).map_err(|e| no_program(&e))
    }
}

/// What the launcher says is for its programmers, so it goes into the log.
fn no_program(error: &io::Error) -> io::Error {
    tracing::warn!("{error}");
    io::Error::new(
        error.kind(),
        "the system has no program for it here: name one as viewer in [tui] of the config file",
    )
}

fn named(program: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{program}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_and_the_viewer_have_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("老虎.jpg");
        assert_eq!(open(&[], &path)().unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, b"x").unwrap();
        let error = open(&["no-such-viewer".to_owned()], &path)().unwrap_err();
        assert!(error.to_string().contains("no-such-viewer"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_viewer_gets_its_arguments_and_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("两只 老虎.jpg"), dir.path().join("copy"));
        std::fs::write(&path, b"x").unwrap();
        let script = format!("cp \"$0\" {}", copy.display());
        open(&["sh".to_owned(), "-c".to_owned(), script], &path)().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !std::fs::read(&copy).is_ok_and(|bytes| bytes == b"x") {
            assert!(std::time::Instant::now() < until, "the viewer did not get the picture");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}
