//! Activations as the kernels take them: tokens side by side in the lanes of a vector.
//!
//! A weight matrix is used as it lies in its file, `[outputs, inputs]`, row by row: every weight is multiplied
//! with the same feature of 16 tokens at once. So nothing is packed or transposed, LayerNorm and softmax are
//! sums over rows without a sum across lanes, and what is in the other lanes cannot touch a token: an
//! embedding has the same bits in any batch.

/// Tokens in a panel.
pub(crate) const LANES: usize = 16;

/// One feature of [`LANES`] tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// f32 `[tokens, features]` in panels of [`LANES`] tokens: a panel is `features` rows of [`Lanes`]. Lanes beyond the last
/// token hold anything.
#[derive(Debug, Default)]
pub(crate) struct Panels {
    tokens: usize,
    features: usize,
    rows: Vec<Lanes>,
}

impl Panels {
    /// Makes room for `tokens` of `features`, values undefined. Memory is kept for the next time.
    pub(crate) fn reset(&mut self, tokens: usize, features: usize) {
        self.tokens = tokens;
        self.features = features;
        self.rows.resize(tokens.div_ceil(LANES) * features, Lanes::ZERO);
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn features(&self) -> usize {
        self.features
    }

    /// Panel by panel, `[features]` each.
    pub(crate) fn panels(&self) -> impl ExactSizeIterator<Item = &[Lanes]> {
        self.rows.chunks_exact(self.features.max(1))
    }

    /// Panel by panel, `[features]` each.
    pub(crate) fn panels_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [Lanes]> {
        self.rows.chunks_exact_mut(self.features.max(1))
    }

    /// One token's feature.
    pub(crate) fn get(&self, token: usize, feature: usize) -> f32 {
        self.rows[token / LANES * self.features + feature].0[token % LANES]
    }

    /// Sets one token's feature.
    pub(crate) fn set(&mut self, token: usize, feature: usize, value: f32) {
        self.rows[token / LANES * self.features + feature].0[token % LANES] = value;
    }
}
