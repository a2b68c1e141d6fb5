//! The towers against transformers' numbers, and model folders in every state of disrepair.

#![allow(clippy::unwrap_used)]

mod damage;
mod golden;
mod identity;
mod kinds;
mod quantised;
mod support;
