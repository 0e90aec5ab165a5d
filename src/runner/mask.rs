//! Hiding secret values in what steps write; see [`crate::text::mask`], which the server uses too.

#[expect(unused_imports, reason = "the output pump does not use it yet")]
pub(super) use crate::text::mask::{Mask, Masker};
