//! Messages between the runner, which carries out a job, and the server.
//!
//! They travel over any stream of bytes as frames ([`frame`]): numbered, bounded, control messages
//! as JSON, output and files as plain bytes ([`message`]). Nothing here knows processes, files or
//! clocks.
//!
//! What comes from the runner is untrusted, since the job can take the runner's place: reading
//! never panics, takes no more memory than one frame, and refuses what it does not understand
//! with a [`ProtocolError`]. After such an error the stream is of no more use.

pub mod frame;
pub mod message;
#[cfg(test)]
mod tests;

pub use frame::{Decoder, Encoder, MAX_FRAME, Piece, ProtocolError};
pub(crate) use message::NamesOnly;
pub use message::{
    ArchiveKind, AwaitPort, CACHE_HOME, CACHE_WORKSPACE, CacheOrder, Collect, CollectKind,
    Confinement, Exit, FileInfo, FromRunner, Hello, Job, Limits, MARK, Outcome, PROTOCOL, Phase,
    StepCommand, StepOrder, Stream, ToRunner, check_hello,
};
