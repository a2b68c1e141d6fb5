//! The towers against transformers' numbers, and model folders in every state of disrepair.

#![allow(clippy::unwrap_used)]

mod damage;
mod golden;
mod hub;
mod identity;
mod kinds;
mod quantised;
#[allow(dead_code)]
#[path = "../../../../tests/stand_in.rs"]
mod stand_in;
mod support;
