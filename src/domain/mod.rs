//! What Herald is about: repositories, pull requests, builds, jobs, and what they mean.
//!
//! Pure values and functions. This module knows no SQL, no HTTP and none of GitHub's shapes;
//! adapters translate into it. Its functions do not fail: what cannot be is kept out by types.

pub mod ask;
pub mod build;
pub mod deed;
pub mod deployment;
pub mod event;
pub mod history;
pub mod id;
pub mod identity;
pub mod import;
pub mod judgement;
pub mod measure;
pub mod patch;
pub mod permission;
pub mod publication;
pub mod quarantine;
pub mod queue;
pub mod registration;
pub mod repository;
pub mod schedule;
pub mod secret;
pub mod token;
pub mod tolerance;
pub mod trigger;
pub mod upload;
pub mod verdict;
pub mod version;

pub use ask::{Ask, Place, Wish};
pub use build::{
    Artifact, Build, BuildView, Conclusion, Job, JobFailure, JobResult, Preparation, State,
    StepRecord, StepState, combine,
};
pub use deed::{Deed, Doer, KeptDeed};
pub use deployment::{
    DeployApproval, DeployedJob, Deployment, DeploymentState, Environment, Landed, Promotion,
    PromotionPull,
};
pub use event::{Again, Answers, Approved, Change, Event, Quarantining};
pub use id::{BuildId, InstallationId, JobId, PersonId, RepositoryId, Sha};
pub use identity::WorkflowIdentity;
pub use import::{Import, ImportRequest, WorkflowRun};
pub use judgement::{Carried, Judgement};
pub use measure::Measure;
pub use patch::{MissedLines, PatchCoverage};
pub use permission::Permission;
pub use publication::{
    Action, Annotation, Answer, BadgeValue, CheckRun, CheckState, Comment, Content, Level,
    Publication, Reaction, Status, StatusState, Target,
};
pub use registration::{Account, Finding, Health, Home, Proposal, RegisteredApp, Registration};
pub use repository::{Installation, PullRequest, Repository};
pub use secret::Secret;
pub use token::{Holder, Scope, Token, token_hash};
pub use trigger::{Occasion, Trigger, Trust, merge_group_subject, pull_subject};
pub use upload::{ReportPart, ReportSet, Upload, UploadRequest};
pub use verdict::{Facts, Verdict, verdict};
