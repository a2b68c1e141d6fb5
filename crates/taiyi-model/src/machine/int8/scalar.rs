//! The product of a block and a panel in plain Rust: what every other level must equal.

use super::super::LANES;
use super::{BLOCK, GROUP, TokenLine, WeightLine};

/// `[channel][token]`
pub(super) fn sums(w: &[WeightLine], x: &[TokenLine], sums: &mut [[i32; LANES]; BLOCK]) {
    *sums = [[0; LANES]; BLOCK];
    for (w, x) in w.iter().zip(x) {
        for (w, sums) in w.as_chunks::<GROUP>().0.iter().zip(sums.iter_mut()) {
            for (x, sum) in x.0.iter().zip(sums) {
                // The first input is the lowest byte, whatever the machine's own order.
                *sum += w.iter().zip(x.to_le_bytes()).map(|(w, x)| i32::from(*w) * i32::from(x)).sum::<i32>();
            }
        }
    }
}
