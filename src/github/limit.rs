//! How much may be asked of GitHub, and when.
//!
//! A budget for the App and for each installation. Numbers from GitHub's "Rate limits for the REST
//! API": a primary limit an hour, told in headers; 900 points a minute, of which a read takes one and
//! a write five; 80 things created a minute and 500 an hour; 100 requests at once. None can be asked
//! for, so we count ourselves, over windows that slide: whichever minute GitHub looks at, there is
//! not too much in it. Who asks says how urgent it is, and the less urgent may use a part of each
//! budget only; so there is always room for how a build ended.
//!
//! The counts are in memory only. A server that has just started does not know what the one before
//! it has asked for, and takes a good part of each budget for used.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::InstallationId;

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// How something ended, and what has to be known to say so.
    Conclusion,
    /// The first word on something, the comment, and what a build cannot begin without.
    First,
    /// How far something is, and answers to people.
    Progress,
    /// Looking for what was missed.
    Background,
}

impl Urgency {
    /// The part of each budget that it may use, in percent.
    fn share(self) -> u32 {
        match self {
            Self::Conclusion => 100,
            Self::First => 90,
            Self::Progress => 60,
            Self::Background => 50,
        }
    }
}

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// It reads.
    Read,
    /// It changes something.
    Write,
    /// It makes something that people see.
    Create,
}

impl Cost {
    fn points(self) -> u32 {
        match self {
            Self::Read => 1,
            Self::Write | Self::Create => 5,
        }
    }
}

/// What GitHub's answer told of limits; moments in unix milliseconds of our clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The request was refused because of a limit.
    pub(super) limited: bool,
    /// `Retry-After`.
    pub(super) retry_ms: Option<i64>,
    /// `x-ratelimit-limit`.
    pub(super) limit: Option<u32>,
    /// `x-ratelimit-remaining`.
    pub(super) remaining: Option<u32>,
    /// `x-ratelimit-reset`.
    pub(super) reset_ms: Option<i64>,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// How much longer our windows are than GitHub's: requests take different times to get there.
const LATITUDE_MS: i64 = 2_000;
/// The primary limit until GitHub tells another one: the least that an installation has.
const PRIMARY: u32 = 5_000;
/// So much of the primary limit is left alone: other servers may share it, and headers come late.
const MARGIN: u32 = 20;
/// The longest wait after limits without a word on how long.
const LIMITED_MOST_MS: i64 = 30 * MINUTE_MS;
/// Requests at once, of one installation and of all.
const AT_ONCE: usize = 20;
const AT_ONCE_IN_ALL: usize = 100;

/// What was used of one budget over a time.
#[derive(Debug)]
struct Window {
    span_ms: i64,
    most: u32,
    used: u32,
    taken: VecDeque<(i64, u32)>,
    /// What may have been used before the start, and when that was.
    before: (i64, u32),
}

impl Window {
    /// Of `most` in `span_ms`; so much was used before, up to a moment.
    fn new(span_ms: i64, most: u32, before: (i64, u32)) -> Self {
        Self {
            span_ms: span_ms + LATITUDE_MS,
            most,
            used: 0,
            taken: VecDeque::new(),
            before,
        }
    }

    /// When so much can be taken of a share in percent, of which others take their parts too; not later than `now_ms` where
    /// it can be at once.
    fn free_at(&mut self, now_ms: i64, cost: u32, (share, parts): (u32, u32)) -> i64 {
        while let Some((at, points)) = self.taken.front().copied() {
            if at + self.span_ms > now_ms {
                break;
            }
            self.used -= points;
            self.taken.pop_front();
        }
        let ours = (self.most * share / 100 / parts).max(cost);
        let (start_ms, before) = self.before;
        let before = if start_ms + self.span_ms > now_ms {
            before / parts
        } else {
            0
        };
        let mut over = (self.used + before + cost).saturating_sub(ours);
        if over == 0 {
            return now_ms;
        }
        for (at, points) in std::iter::once(&(start_ms, before)).chain(&self.taken) {
            over = over.saturating_sub(*points);
            if over == 0 {
                return at + self.span_ms;
            }
        }
        now_ms + self.span_ms
    }

    fn take(&mut self, now_ms: i64, cost: u32) {
        self.used += cost;
        self.taken.push_back((now_ms, cost));
    }
}

/// The budget of one installation.
#[derive(Debug)]
struct Budget {
    /// Nothing is sent before this moment.
    closed_until_ms: i64,
    /// How often in a row GitHub refused without a word on how long.
    strikes: u32,
    points: Window,
    created: Window,
    created_an_hour: Window,
    limit: u32,
    remaining: u32,
    reset_ms: i64,
    /// Requests without an answer yet.
    under_way: u32,
    /// How many processes share it.
    parts: u32,
}

impl Budget {
    /// Where it is not known what was used before the start at `start_ms`, a part is taken for
    /// used then.
    fn new(start_ms: Option<i64>) -> Self {
        let used = |most| (start_ms.unwrap_or(0), start_ms.map_or(0, |_| most));
        Self {
            closed_until_ms: 0,
            strikes: 0,
            points: Window::new(MINUTE_MS, 900, used(200)),
            created: Window::new(MINUTE_MS, 80, used(40)),
            created_an_hour: Window::new(HOUR_MS, 500, used(100)),
            limit: PRIMARY,
            remaining: PRIMARY,
            reset_ms: 0,
            under_way: 0,
            parts: 1,
        }
    }

    /// Takes what a request costs.
    ///
    /// # Errors
    /// The moment from which on it may be asked for again.
    fn take(&mut self, now_ms: i64, cost: Cost, urgency: Urgency) -> Result<(), i64> {
        let (share, parts) = (urgency.share(), self.parts);
        if now_ms >= self.reset_ms {
            self.remaining = self.limit;
            self.reset_ms = now_ms + HOUR_MS;
        }
        let margin = (MARGIN * parts).min(self.limit / 10);
        let kept = (self.limit - self.limit * share / 100).max(margin);
        let mut free_ms = self.closed_until_ms;
        if self.remaining <= kept {
            free_ms = free_ms.max(self.reset_ms);
        }
        free_ms = free_ms.max(self.points.free_at(now_ms, cost.points(), (share, parts)));
        if cost == Cost::Create {
            for window in [&mut self.created, &mut self.created_an_hour] {
                free_ms = free_ms.max(window.free_at(now_ms, 1, (share, parts)));
            }
        }
        if free_ms > now_ms {
            return Err(free_ms);
        }
        self.points.take(now_ms, cost.points());
        if cost == Cost::Create {
            self.created.take(now_ms, 1);
            self.created_an_hour.take(now_ms, 1);
        }
        self.remaining = self.remaining.saturating_sub(1);
        self.under_way += 1;
        Ok(())
    }

    /// Takes note of an answer; says until when nothing may be sent, where it was a refusal.
    fn told(&mut self, now_ms: i64, told: &Told) -> Option<i64> {
        if let (Some(limit), Some(remaining), Some(reset_ms)) =
            (told.limit, told.remaining, told.reset_ms)
        {
            self.limit = limit;
            self.reset_ms = reset_ms;
            // This request has its answer; GitHub may not have seen the others.
            self.remaining = remaining.saturating_sub(self.under_way.saturating_sub(1));
        }
        if !told.limited {
            self.strikes = 0;
            return None;
        }
        let until_ms = match (told.retry_ms, told.reset_ms) {
            (Some(retry_ms), _) => retry_ms,
            (None, Some(reset_ms)) if told.remaining == Some(0) => reset_ms,
            _ => {
                self.strikes = (self.strikes + 1).min(10);
                now_ms + (MINUTE_MS << (self.strikes - 1)).min(LIMITED_MOST_MS)
            }
        };
        self.closed_until_ms = self.closed_until_ms.max(until_ms).max(now_ms + 1_000);
        Some(self.closed_until_ms)
    }
}

/// What belongs to one installation.
#[derive(Debug)]
struct Place {
    budget: Mutex<Budget>,
    at_once: Arc<Semaphore>,
}

impl Place {
    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The budgets of the App (`None`) and its installations.
#[derive(Debug)]
pub(super) struct Limits {
    places: Mutex<HashMap<Option<InstallationId>, Arc<Place>>>,
    at_once: Arc<Semaphore>,
    start_ms: Option<i64>,
    /// How many processes share them.
    parts: AtomicU32,
}

impl Limits {
    /// Those of a server that starts at this moment and does not know what was used before.
    pub(super) fn new(start_ms: Option<i64>) -> Self {
        Self {
            places: Mutex::default(),
            at_once: Arc::new(Semaphore::new(AT_ONCE_IN_ALL)),
            start_ms,
            parts: AtomicU32::new(1),
        }
    }

    /// So many processes share them from now on.
    pub(super) fn shared_by(&self, processes: u32) {
        self.parts.store(processes.max(1), Ordering::Relaxed);
    }

    fn place(&self, who: Option<InstallationId>) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(who).or_insert_with(|| {
            Arc::new(Place {
                budget: Mutex::new(Budget::new(self.start_ms)),
                at_once: Arc::new(Semaphore::new(AT_ONCE)),
            })
        });
        Arc::clone(place)
    }

    /// Waits while too many requests are under way, then takes what this one costs.
    ///
    /// # Errors
    /// The moment (unix milliseconds) from which on it may be asked for again.
    pub(super) async fn pass(
        &self,
        who: Option<InstallationId>,
        cost: Cost,
        urgency: Urgency,
        now_ms: impl Fn() -> i64,
    ) -> Result<Pass, i64> {
        let place = self.place(who);
        // Never closed; without a permit the request would only not be counted.
        let ours = Arc::clone(&place.at_once).acquire_owned().await.ok();
        let all = Arc::clone(&self.at_once).acquire_owned().await.ok();
        let mut budget = place.budget();
        budget.parts = self.parts.load(Ordering::Relaxed);
        budget.take(now_ms(), cost, urgency)?;
        drop(budget);
        Ok(Pass {
            place,
            _permits: [ours, all],
        })
    }

    /// Lets nothing pass before this moment.
    pub(super) fn hold(&self, who: Option<InstallationId>, until_ms: i64) {
        let place = self.place(who);
        let mut budget = place.budget();
        budget.closed_until_ms = budget.closed_until_ms.max(until_ms);
    }
}

/// Leave for one request, until its answer is there.
#[derive(Debug)]
pub(super) struct Pass {
    place: Arc<Place>,
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

impl Pass {
    /// Takes note of the answer; says until when nothing may be sent, where it was a refusal
    /// because of a limit.
    pub(super) fn told(&self, now_ms: i64, told: &Told) -> Option<i64> {
        self.place.budget().told(now_ms, told)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut budget = self.place.budget();
        budget.under_way = budget.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Cost, LIMITED_MOST_MS, Told, Urgency};

    /// How many of these requests go out at this moment.
    fn sent(budget: &mut Budget, now_ms: i64, cost: Cost, urgency: Urgency) -> usize {
        let mut sent = 0;
        while budget.take(now_ms, cost, urgency).is_ok() {
            sent += 1;
            budget.under_way = 0;
        }
        sent
    }

    /// A budget that is whole.
    fn settled() -> Budget {
        Budget::new(None)
    }

    #[test]
    fn processes_that_share_limits_take_their_parts() {
        let mut alone = settled();
        let whole = sent(&mut alone, 1_000, Cost::Create, Urgency::Conclusion);
        let mut shared = settled();
        shared.parts = 4;
        let part = sent(&mut shared, 1_000, Cost::Create, Urgency::Conclusion);
        assert_eq!((whole, part), (80, 20));
        // What may have been used before the start was used by all of them.
        let mut started = Budget::new(Some(0));
        started.parts = 4;
        let left = sent(&mut started, 1_000, Cost::Create, Urgency::Conclusion);
        assert_eq!(left, 10);
    }

    #[test]
    fn in_no_minute_there_is_more_than_github_allows() {
        let mut budget = settled();
        let mut all = Vec::new();
        for step in 0..600 {
            let now_ms = step * 500;
            for cost in [Cost::Read, Cost::Write, Cost::Create, Cost::Write] {
                if budget.take(now_ms, cost, Urgency::Conclusion).is_ok() {
                    all.push((now_ms, cost));
                }
            }
        }
        for (from, _) in &all {
            let within = all
                .iter()
                .filter(|(at, _)| (*from..from + 60_000).contains(at));
            let (mut points, mut created) = (0, 0);
            for (_, cost) in within {
                points += cost.points();
                created += u32::from(*cost == Cost::Create);
            }
            assert!(points <= 900 && created <= 80, "{points} {created}");
        }
        assert!(all.len() > 1_000, "and not much less: {}", all.len());
    }

    #[test]
    fn progress_leaves_room_for_first_words_and_those_for_conclusions() {
        let mut budget = settled();
        let mut create = |urgency| sent(&mut budget, 0, Cost::Create, urgency);
        assert_eq!(create(Urgency::Background), 40);
        assert_eq!(create(Urgency::Progress), 8);
        assert_eq!(create(Urgency::First), 24);
        assert_eq!(create(Urgency::Conclusion), 8);
    }

    #[test]
    fn who_is_refused_is_told_when_there_is_room() {
        let mut budget = settled();
        sent(&mut budget, 1_000, Cost::Create, Urgency::Conclusion);
        let until = budget.take(5_000, Cost::Create, Urgency::Conclusion);
        assert_eq!(until, Err(63_000));
        assert!(
            budget
                .take(63_000, Cost::Create, Urgency::Conclusion)
                .is_ok()
        );
    }

    #[test]
    fn an_hour_has_at_most_500_new_things() {
        let mut budget = settled();
        let made: usize = (0..59)
            .map(|minute| {
                sent(
                    &mut budget,
                    minute * 61_000,
                    Cost::Create,
                    Urgency::Conclusion,
                )
            })
            .sum();
        assert_eq!(made, 500);
    }

    #[test]
    fn after_a_start_much_is_taken_for_used() {
        let mut budget = Budget::new(Some(0));
        assert_eq!(sent(&mut budget, 0, Cost::Create, Urgency::Conclusion), 40);
        assert_eq!(sent(&mut budget, 0, Cost::Read, Urgency::Background), 50);
        assert_eq!(sent(&mut budget, 0, Cost::Read, Urgency::Conclusion), 450);
    }

    #[test]
    fn the_primary_limit_is_what_github_says() {
        let mut budget = settled();
        let told = Told {
            limit: Some(1_000),
            remaining: Some(500),
            reset_ms: Some(9_000),
            ..Told::default()
        };
        assert_eq!(budget.told(0, &told), None);
        let wait = |budget: &mut Budget, urgency| budget.take(0, Cost::Read, urgency);
        assert_eq!(wait(&mut budget, Urgency::Background), Err(9_000));
        assert_eq!(sent(&mut budget, 0, Cost::Read, Urgency::Progress), 100);
        assert_eq!(sent(&mut budget, 0, Cost::Read, Urgency::First), 300);
        assert_eq!(sent(&mut budget, 0, Cost::Read, Urgency::Conclusion), 80);
        assert_eq!(wait(&mut budget, Urgency::Conclusion), Err(9_000));
        budget = Budget {
            reset_ms: 100_000,
            ..budget
        };
        assert!(
            budget
                .take(100_000, Cost::Read, Urgency::Background)
                .is_ok()
        );
    }

    #[test]
    fn after_a_refusal_nothing_goes_out_before_its_time() {
        let mut budget = settled();
        let refused = Told {
            limited: true,
            ..Told::default()
        };
        let after = Told {
            retry_ms: Some(7_000),
            ..refused
        };
        assert_eq!(budget.told(0, &after), Some(7_000));
        assert_eq!(
            budget.take(6_999, Cost::Read, Urgency::Conclusion),
            Err(7_000)
        );
        assert!(budget.take(7_000, Cost::Read, Urgency::Conclusion).is_ok());
        let empty = Told {
            limit: Some(5_000),
            remaining: Some(0),
            reset_ms: Some(50_000),
            ..refused
        };
        assert_eq!(budget.told(8_000, &empty), Some(50_000));
    }

    #[test]
    fn without_a_word_the_wait_is_a_minute_and_doubles() {
        let mut budget = settled();
        let refused = Told {
            limited: true,
            ..Told::default()
        };
        let mut now_ms = 0;
        for minutes in [1, 2, 4, 8, 16] {
            let until_ms = now_ms + minutes * 60_000;
            assert_eq!(budget.told(now_ms, &refused), Some(until_ms));
            now_ms = until_ms;
        }
        let longest = Some(now_ms + LIMITED_MOST_MS);
        assert_eq!(budget.told(now_ms, &refused), longest);
        budget.told(now_ms, &Told::default());
        now_ms += LIMITED_MOST_MS;
        assert_eq!(budget.told(now_ms, &refused), Some(now_ms + 60_000));
    }
}
