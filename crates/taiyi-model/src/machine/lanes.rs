//! Activations as the kernels take them: tokens side by side in the lanes of a vector.
//!
//! A weight matrix is used as it lies in its file, `[outputs, inputs]`, row by row: every weight is multiplied
//! with the same feature of 16 tokens at once. So nothing is packed or transposed, LayerNorm and softmax are
//! sums over rows without a sum across lanes, and what is in the other lanes cannot touch a token: an
//! embedding has the same bits in any batch.

use std::ops::Range;

/// Tokens in a panel.
pub(crate) const LANES: usize = 16;

/// One feature of [`LANES`] tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// A range of features, and the rows of it in every panel.
pub(crate) type Part<'a> = (Range<usize>, Vec<&'a mut [Lanes]>);

/// f32 `[tokens, features]` in panels of [`LANES`] tokens: a panel is `features` rows of [`Lanes`]. Lanes beyond the last
/// token hold anything.
#[derive(Debug, Default)]
pub(crate) struct Panels {
    tokens: usize,
    features: usize,
    /// Those of the panels, and maybe more from before.
    rows: Vec<Lanes>,
}

impl Panels {
    /// Makes room for `tokens` of `features`, values undefined. Memory is kept for the next time.
    pub(crate) fn reset(&mut self, tokens: usize, features: usize) {
        self.tokens = tokens;
        self.features = features;
        let rows = tokens.div_ceil(LANES) * features;
        if self.rows.len() < rows {
            self.rows.resize(rows, Lanes::ZERO);
        }
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn features(&self) -> usize {
        self.features
    }

    /// Panel by panel, `[features]` each.
    pub(crate) fn panels(&self) -> impl ExactSizeIterator<Item = &[Lanes]> {
        let rows = self.tokens.div_ceil(LANES) * self.features;
        self.rows[..rows].chunks_exact(self.features.max(1))
    }

    /// Panel by panel, `[features]` each.
    pub(crate) fn panels_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [Lanes]> {
        let rows = self.tokens.div_ceil(LANES) * self.features;
        self.rows[..rows].chunks_exact_mut(self.features.max(1))
    }

    /// The features in at most `parts` ranges of about the same size, split at multiples of `unit`.
    pub(crate) fn split_features(&mut self, parts: usize, unit: usize) -> Vec<Part<'_>> {
        let features = self.features;
        let size = features.div_ceil(parts.max(1)).next_multiple_of(unit.max(1)).max(1);
        let panels = self.tokens.div_ceil(LANES);
        let mut split: Vec<Part<'_>> = (0..features)
            .step_by(size)
            .map(|start| (start..features.min(start + size), Vec::with_capacity(panels)))
            .collect();
        for panel in self.panels_mut() {
            for ((_, rows), part) in split.iter_mut().zip(panel.chunks_mut(size)) {
                rows.push(part);
            }
        }
        split
    }

    /// Makes this the `tokens` of `from`, in that order.
    pub(crate) fn pick(&mut self, from: &Self, tokens: &[usize]) {
        self.reset(tokens.len(), from.features);
        for (to, token) in tokens.iter().enumerate() {
            for feature in 0..from.features {
                self.set(to, feature, from.get(*token, feature));
            }
        }
    }

    /// One token's features.
    pub(crate) fn token(&self, token: usize) -> impl Iterator<Item = f32> {
        let panel = self.rows.get(token / LANES * self.features..).unwrap_or_default();
        panel.iter().take(self.features).map(move |row| row.0[token % LANES])
    }

    /// Every feature of a token in turn.
    pub(crate) fn token_mut(&mut self, token: usize) -> impl Iterator<Item = &mut f32> {
        let panel = self.rows.get_mut(token / LANES * self.features..).unwrap_or_default();
        panel.iter_mut().take(self.features).map(move |row| &mut row.0[token % LANES])
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
