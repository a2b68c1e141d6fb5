//! Weight files mapped into memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

/// A file mapped for reading.
#[derive(Debug)]
pub(crate) struct MappedFile(Mmap);

impl MappedFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is read-only and private to this process. What Rust cannot promise is that no other
        // process changes or cuts the file meanwhile. Changed bytes become wrong numbers, never wrong memory:
        // every length and offset is checked against the map before use, and values are only copied out as
        // plain floats. A file cut short under the map raises SIGBUS, as for any program that maps files;
        // weight files are replaced by rename, which leaves the mapped one whole.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(map))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Brings `range` into this process now, and not page by page when it is first read. Failing to is no failure.
    pub(crate) fn fetch(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        if range.end <= self.0.len() {
            // Kernels before 5.14 do not know it.
            let told = self.0.advise_range(memmap2::Advice::PopulateRead, range.start, range.len());
            if let Err(error) = told {
                tracing::debug!(%error, "mapped pages were not fetched");
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }

    /// Tells the system that `range` was read for the last time for now, so that a gigabyte of weights does
    /// not count twice against memory: once mapped, once copied. Failing to tell is no failure.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if range.end <= self.0.len() {
            // SAFETY: the map is of a file and never written to, so dropped pages hold nothing that the file
            // does not: the next access reads the same bytes again.
            let told = unsafe {
                self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
            };
            if let Err(error) = told {
                tracing::debug!(%error, "mapped pages were not released");
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}
