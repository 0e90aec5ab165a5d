//! What of a delivery is kept until it is handled.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Payload, reader};
use crate::ports::PortError;
use crate::ports::error::Result;

/// The part of a delivery's body that [`read_event`](super::read_event) looks at, which finds the same event in it. Of 30 kB,
/// most of them addresses of GitHub's API, this is one; the rest is never stored. What cannot be read as such an event stays
/// whole: handling it says why, and a version that can read it finds all of it.
///
/// # Errors
/// `Refused` when the body is no JSON object.
pub fn kept(event: &str, body: String) -> Result<String> {
    let read = reader(event);
    if let Some(read) = read
        && begins_object(&body)
        && let Ok(payload) = serde_json::from_str::<Payload>(&body)
        && let Ok(part) = serde_json::to_string(&payload)
        && read("", payload).is_ok()
    {
        return Ok(part);
    }
    if !is_object(&body) {
        return Err(PortError::refused("read the body as a JSON object"));
    }
    Ok(match read {
        Some(_) => body,
        None => "{}".to_owned(),
    })
}

/// Whether a text is a JSON object.
pub(in crate::github) fn is_object(text: &str) -> bool {
    begins_object(text) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn begins_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Anything at all, where it only matters whether something is there.
pub(super) struct Something;

impl<'de> Deserialize<'de> for Something {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl Serialize for Something {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}
