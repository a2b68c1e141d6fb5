//! How exactly a model computes.

use std::fmt;

/// What a model's weights and activations are multiplied as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats: the numbers of the published weights.
    #[default]
    F32,
    /// 8-bit whole numbers: a quarter of the bytes, faster, and close to the same embeddings.
    Int8,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 2] = [Self::F32, Self::Int8];

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }

    /// The precision that people write so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|precision| precision.name() == name)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        assert!(
            Precision::ALL.iter().all(|precision| Precision::from_name(precision.name()) == Some(*precision))
        );
        assert_eq!(Precision::from_name("int4"), None);
        assert_eq!(Precision::default(), Precision::F32);
    }
}
