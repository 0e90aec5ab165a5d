//! The use cases: from a delivery to what people see.
//!
//! Five durable queues, each drained by its own loop: deliveries become triggers (`intake`),
//! triggers become builds (`prepare`), jobs are carried out (`run`), and the state of builds
//! is rendered and sent to GitHub (`publish`, `send`). What never arrived is looked for (`recovery`). Every step takes its work under a
//! lease, does it, and settles it in one transaction, so that it can be repeated after a crash at
//! any instant. This module speaks through `ports` only; it knows no SQL, HTTP or octocrab.
//! What a user caused ends in a check; the rest is an error, logged once by `work`.

mod access;
mod ask;
mod attempt;
mod checkout;
mod cluster;
mod collect;
mod deploying;
mod ended;
mod head;
mod import;
mod insight;
mod intake;
mod judge;
mod meters;
mod order;
mod past;
mod prepare;
mod privacy;
mod promote;
mod publish;
mod quarantine;
mod recovery;
mod refusal;
mod release;
mod report_sets;
mod retention;
mod run;
mod send;
mod setup;
mod speak;
mod state;
mod steps;
mod supply;
mod trouble;
mod upload;
mod veil;
mod weigh;
mod work;

pub use access::{Errand, Part, Run, Visitor};
pub use cluster::keep_in_touch;
pub use collect::{Declared, Gathered, Reports};
pub use head::{Claimed, Head};
pub use intake::Received;
pub use judge::judgement;
pub use meters::{CONTENT_TYPE as METRICS_TYPE, Meters};
pub use order::{Surroundings, environment, job_order};
pub use past::{
    Overview, PastOfTest, ShakyTest, SlowTest, SlowerTest, overview_of_tests, past_of_test,
    slower_tests,
};
pub use privacy::{Forgotten, KnownOf};
pub use recovery::catch_up;
pub use refusal::{Ground, refusals};
pub use retention::{Dropped, Retention};
pub use setup::{Decided, Entry, Setup, Trouble};
pub use state::{App, ForkPolicy, Parts, Settings};
pub use steps::carry_out;
pub use upload::{
    Checksum, Incoming, PIECE_MAX, PLAIN_MAX, RESUMABLE_MAX, Received as Uploaded, UploadError,
    Uploader,
};
pub use work::{drain, serve, step};
