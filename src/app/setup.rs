//! Registering the App on GitHub, from a browser whose user has seen this server's terminal.
//!
//! A code that is made at the start and printed lets one browser in, once; then there is a new one.
//! The browser is known by a session of its own after that, which also outlives the end of the
//! setup for a while, so that it can be told what to do next. Code and sessions are in memory only:
//! whoever starts the server again, begins again. What GitHub gives is stored in one transaction; until
//! then nothing is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use sha2::Sha256;
use tokio::sync::watch;
use tracing::{error, info};

use crate::domain::{Finding, Proposal, RegisteredApp, Registration, Secret};
use crate::ports::{Clock, Kind, Registrar, Store};

/// How long a browser may take; GitHub's own code is good for an hour too.
const SESSION_MS: i64 = 60 * 60 * 1000;
/// How many browsers are let in at once.
const SESSIONS: usize = 8;
/// How many wrong codes may be tried in a row.
const TRIES: i64 = 20;
/// How long it takes until one more may be tried.
const TRY_MS: i64 = 3_000;

/// What the operator has decided by flags or variables: it is not asked for again.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    /// The public address.
    pub public_url: Option<String>,
    /// GitHub's pages.
    pub github_url: Option<String>,
    /// GitHub's API.
    pub api_url: Option<String>,
}

/// What came of a code that somebody has brought.
#[derive(Debug)]
pub enum Entry {
    /// It is right: the name of the browser's session.
    Open(Secret),
    /// It is wrong.
    Wrong,
    /// Too many were wrong: not before so many seconds.
    Wait(i64),
}

/// Why the App is not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// This browser has not begun, or too long ago.
    Stranger,
    /// What came back does not belong to what was begun here.
    State,
    /// GitHub's code is used or over.
    Over,
    /// GitHub could not be asked, or Herald could not keep its answer; the same can be tried again.
    Again(String),
    /// GitHub's answer is of no use.
    Useless(String),
    /// Somebody else was faster.
    Taken,
    /// It is stored, and the server must be started again.
    Restart(String),
}

/// A browser that was let in.
#[derive(Default)]
struct Session {
    ends_ms: i64,
    proposal: Option<Proposal>,
    /// What GitHub has to bring back; once.
    state: Option<Secret>,
    /// What GitHub brought, until it is converted.
    code: Option<Secret>,
    /// What it was converted to, until it is stored.
    made: Option<Registration>,
}

/// What all browsers share.
struct Door {
    code: Secret,
    /// Wrong codes that may still be tried, and when that was counted.
    tries: i64,
    counted_ms: i64,
    sessions: HashMap<Vec<u8>, Session>,
}

/// The setup of a server.
pub struct Setup {
    registrar: Arc<dyn Registrar>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// What is not asked for.
    pub decided: Decided,
    /// With which names of sessions and codes are compared.
    key: Secret,
    door: Mutex<Door>,
    /// The code that is good now.
    codes: watch::Sender<String>,
    closed: AtomicBool,
    /// One registration after another.
    turn: tokio::sync::Mutex<()>,
}

/// Letters and digits that are not taken for one another.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Five groups of five: more than 120 bits.
fn random() -> String {
    let mut rng = rand::rng();
    let group = |rng: &mut rand::rngs::ThreadRng| -> String {
        let letter = |_| LETTERS.get(rng.random_range(0..LETTERS.len())).copied();
        (0..5).filter_map(letter).map(char::from).collect()
    };
    let groups: Vec<String> = (0..5).map(|_| group(&mut rng)).collect();
    groups.join("-")
}

/// As somebody may have typed it.
fn plain(code: &str) -> String {
    let mut plain: String = code
        .chars()
        .filter(|char| !char.is_whitespace() && *char != '-')
        .collect();
    plain.make_ascii_lowercase();
    plain
}

impl Setup {
    /// A setup with a new code.
    pub fn new(
        registrar: Arc<dyn Registrar>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        decided: Decided,
    ) -> Self {
        let code = random();
        let door = Door {
            code: Secret::new(&code),
            tries: TRIES,
            counted_ms: clock.now_ms(),
            sessions: HashMap::new(),
        };
        Self {
            registrar,
            store,
            clock,
            decided,
            key: Secret::new(random()),
            door: Mutex::new(door),
            codes: watch::Sender::new(code),
            closed: AtomicBool::new(false),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The code that lets a browser in; another one after each time.
    pub fn codes(&self) -> watch::Receiver<String> {
        self.codes.subscribe()
    }

    /// Whether the App is registered.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mac(&self, text: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes()).ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    }

    /// In constant time, whatever differs.
    fn same(&self, one: &str, other: &str) -> bool {
        let (Some(one), Some(other)) = (self.mac(one), self.mac(other)) else {
            return false;
        };
        one.verify_slice(&other.finalize().into_bytes()).is_ok()
    }

    /// Under what a session is kept: its name itself is nowhere, and looking it up tells nothing of it.
    fn slot(&self, session: &str) -> Vec<u8> {
        let mac = self.mac(session);
        mac.map(|mac| mac.finalize().into_bytes().to_vec())
            .unwrap_or_default()
    }

    /// Lets a browser in that brings the right code.
    pub fn enter(&self, code: &str) -> Entry {
        let now_ms = self.clock.now_ms();
        let mut door = self.door();
        let regained = (now_ms - door.counted_ms).max(0) / TRY_MS;
        door.tries = (door.tries + regained).min(TRIES);
        door.counted_ms += regained * TRY_MS;
        if door.tries == 0 {
            let left_ms = (door.counted_ms + TRY_MS - now_ms).max(1);
            return Entry::Wait((left_ms + 999) / 1000);
        }
        if self.is_closed() || !self.same(&plain(code), &plain(door.code.expose())) {
            if door.tries == TRIES {
                door.counted_ms = now_ms;
            }
            door.tries -= 1;
            return Entry::Wrong;
        }
        let next = random();
        door.code = Secret::new(&next);
        let session = Secret::new(random());
        door.sessions.retain(|_, session| session.ends_ms > now_ms);
        if door.sessions.len() >= SESSIONS {
            let oldest = door.sessions.iter().min_by_key(|(_, kept)| kept.ends_ms);
            if let Some(oldest) = oldest.map(|(slot, _)| slot.clone()) {
                door.sessions.remove(&oldest);
            }
        }
        let begun = Session {
            ends_ms: now_ms + SESSION_MS,
            ..Session::default()
        };
        door.sessions.insert(self.slot(session.expose()), begun);
        drop(door);
        self.codes.send_replace(next);
        Entry::Open(session)
    }

    /// Does something with a session that is still good.
    fn with<T>(&self, session: &str, work: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let now_ms = self.clock.now_ms();
        let slot = self.slot(session);
        let mut door = self.door();
        let found = door.sessions.get_mut(&slot);
        found.filter(|found| found.ends_ms > now_ms).map(work)
    }

    /// Whether a browser was let in.
    pub fn knows(&self, session: &str) -> bool {
        self.with(session, |_| ()).is_some()
    }

    /// What a browser has wished for.
    pub fn proposal(&self, session: &str) -> Option<Proposal> {
        self.with(session, |session| session.proposal.clone())?
    }

    /// Notes what a browser wishes for.
    pub fn keep_proposal(&self, session: &str, proposal: Proposal) {
        self.with(session, |session| session.proposal = Some(proposal));
    }

    /// Where the browser is to send which manifest. Each time with a new state, and the one before is
    /// good no more.
    pub fn manifest(&self, session: &str) -> Option<(Proposal, String, String)> {
        let state = random();
        let proposal = self.with(session, |session| {
            session.state = Some(Secret::new(&state));
            session.proposal.clone()
        })??;
        let manifest = self.registrar.manifest(&proposal);
        let address = proposal.address(&state);
        Some((proposal, address, manifest))
    }

    /// Takes what GitHub has brought back, if it belongs to what this browser has begun. A state is
    /// good for once.
    ///
    /// # Errors
    /// `Stranger` or `State`.
    pub fn take(&self, session: &str, state: &str, code: &str) -> Result<(), Trouble> {
        let taken = self.with(session, |session| {
            let right = session
                .state
                .take_if(|kept| self.same(kept.expose(), state));
            if right.is_some() {
                session.code = Some(Secret::new(code));
                session.made = None;
            }
            right.is_some()
        });
        match taken {
            None => Err(Trouble::Stranger),
            Some(false) => Err(Trouble::State),
            Some(true) => Ok(()),
        }
    }

    /// Registers what was brought back, and begins to work with it. It goes on to its end even if
    /// nobody waits for it any more: a browser may go away between two steps.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn register(self: &Arc<Self>, session: &str) -> Result<(), Trouble> {
        let (setup, session) = (Arc::clone(self), session.to_owned());
        let work = tokio::spawn(async move { setup.register_now(&session).await });
        match work.await {
            Ok(done) => done,
            Err(error) => {
                error!("failed to register the App: {error}");
                Err(Trouble::Again(
                    "Herald failed; its log says more".to_owned(),
                ))
            }
        }
    }

    async fn register_now(&self, session: &str) -> Result<(), Trouble> {
        let _turn = self.turn.lock().await;
        let (proposal, code, made) = self
            .with(session, |session| {
                let made = session.made.clone();
                (session.proposal.clone(), session.code.clone(), made)
            })
            .ok_or(Trouble::Stranger)?;
        if self.is_closed() {
            return Err(Trouble::Taken);
        }
        let proposal = proposal.ok_or(Trouble::State)?;
        let app = match (made, code) {
            (Some(made), _) => made,
            (None, Some(code)) => self.convert(session, &proposal, &code).await?,
            (None, None) => return Err(Trouble::State),
        };
        let registered = RegisteredApp {
            app,
            home: proposal.home,
        };
        let now_ms = self.clock.now_ms();
        match self.store.keep_registered_app(&registered, now_ms).await {
            Ok(true) => {}
            Ok(false) => return Err(Trouble::Taken),
            Err(error) => {
                error!("failed to {error}");
                return Err(Trouble::Again(format!("Herald failed to {error}")));
            }
        }
        self.closed.store(true, Ordering::Release);
        self.with(session, |session| session.made = None);
        info!(
            app.id = registered.app.id,
            app.slug = registered.app.slug,
            "the App is registered"
        );
        self.registrar.begin().await.map_err(|error| {
            error!("failed to {error}");
            Trouble::Restart(error.message)
        })
    }

    /// Asks GitHub for the App. Its answer is kept, because it comes once.
    async fn convert(
        &self,
        session: &str,
        proposal: &Proposal,
        code: &Secret,
    ) -> Result<Registration, Trouble> {
        let answer = self.registrar.convert(proposal, code.expose()).await;
        let error = match answer {
            Ok(app) => {
                self.with(session, |session| {
                    session.code = None;
                    session.made = Some(app.clone());
                });
                return Ok(app);
            }
            Err(error) => error,
        };
        let again = matches!(error.kind, Kind::Transient | Kind::Throttled { .. });
        if again {
            return Err(Trouble::Again(format!("Herald failed to {error}")));
        }
        self.with(session, |session| session.code = None);
        Err(match error.kind {
            Kind::Gone => Trouble::Over,
            _ => Trouble::Useless(format!("Herald failed to {error}")),
        })
    }

    /// The App that is registered.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn registered(&self) -> crate::ports::error::Result<Option<RegisteredApp>> {
        self.store.registered_app().await
    }

    /// What `herald doctor` would say.
    pub async fn examine(&self) -> Vec<Finding> {
        self.registrar.examine().await
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
