//! Where a crash could strike: the steps that the crash tests stop before.
//!
//! Outside of this crate's own tests the seam is empty and costs nothing.

use crate::StoreError;

/// A moment at which something is about to become durable or visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A batch is about to be applied to the ledger.
    Apply,
    /// It is applied, and about to be synced.
    Sync,
    /// A generation number was taken; its folder is about to be made.
    Folder,
    /// The vectors are about to be written.
    Vectors,
    /// The graph is about to be written.
    Graph,
    /// The item table is about to be written.
    Items,
    /// All files are synced; the folder is about to get its name.
    RenameFolder,
    /// The new manifest is about to be written beside the old one.
    WriteManifest,
    /// The new manifest is about to replace the old one.
    RenameManifest,
    /// Files that no manifest names are about to be deleted.
    Sweep,
    /// Contents that lie nowhere are about to be forgotten.
    Forget,
    /// The ledger is about to vouch for the new item table.
    Vouch,
}

/// Lets a test fail or end the process at a step.
#[cfg(test)]
pub(crate) type Hook = Box<dyn Fn(Step) -> Result<(), StoreError> + Send + Sync>;

/// The hook of one writer.
#[derive(Default)]
pub(crate) struct Faults {
    #[cfg(test)]
    pub(crate) hook: Option<Hook>,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faults")
    }
}

impl Faults {
    /// Passes a step.
    #[cfg_attr(not(test), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    pub(crate) fn pass(&self, step: Step) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(hook) = &self.hook {
            return hook(step);
        }
        let _ = step;
        Ok(())
    }
}
