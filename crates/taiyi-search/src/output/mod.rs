//! What goes to standard output: hits in four forms, vectors, and the text helpers they share.

pub(crate) mod hits;
pub(crate) mod json;
pub(crate) mod npy;
pub(crate) mod table;
pub(crate) mod text;
