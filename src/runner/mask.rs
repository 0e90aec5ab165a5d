//! Hiding secret values in what steps write; see [`crate::text::mask`], which the server uses too.

pub(super) use crate::text::mask::{Mask, Masker};
