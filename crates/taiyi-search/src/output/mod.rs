//! What goes to standard output: hits in four forms, and the text helpers they share.

pub(crate) mod hits;
pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod text;
