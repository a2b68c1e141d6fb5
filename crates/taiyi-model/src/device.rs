//! Where the image tower computes.

/// A processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The CPU, by the engine of this crate.
    #[default]
    Cpu,
    /// The graphics card of this number, by candle. Of a build with the feature `cuda`.
    #[cfg(feature = "cuda")]
    Cuda(usize),
}

impl Device {
    /// The device that people write so: `cpu`, and with the feature `cuda` also `cuda` and `cuda:1`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "cpu" => Some(Self::Cpu),
            #[cfg(feature = "cuda")]
            "cuda" => Some(Self::Cuda(0)),
            #[cfg(feature = "cuda")]
            _ => Some(Self::Cuda(name.strip_prefix("cuda:")?.parse().ok()?)),
            #[cfg(not(feature = "cuda"))]
            _ => None,
        }
    }
}
