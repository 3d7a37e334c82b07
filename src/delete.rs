//! Deletes: several callers in one request, and what it means that a list is not
//! there.
//!
//! One reply covers all names of a request, and the service does not say which of
//! them it missed. So a refusal for a missing list is looked into by reading the
//! account's lists once; nobody is told that his list is gone by guessing.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::attempt::{Fixed, Payload, Tally};
use crate::call::Running;
use crate::client::{GROUP_GET, Inner};
use crate::codes;
use crate::error::{Error, Outcome, Result};
use crate::lists::{self, List, Response};
use crate::queue::{Entered, Rider, Turn, Waiter};
use crate::stats::Count;

const GROUP_DELETE: &str = "v4/sns/group_delete";

/// A delete that takes along those waiting behind it.
struct Merged<'a> {
    turn: &'a Turn<'a>,
    own: &'a [&'a str],
    /// `None` before the first attempt: only that one takes others along.
    riders: Option<Vec<Rider>>,
    body: Vec<u8>,
}

impl Payload for Merged<'_> {
    /// Who left in a pause between two attempts was told that nothing was applied,
    /// so each attempt names the lists of those still there alone.
    fn prepare(&mut self) -> &[u8] {
        let riders = match self.riders.take() {
            None => self.turn.gather(self.own),
            Some(riders) => riders,
        };
        let riders = self.turn.embark(riders);
        let mut names = Cow::Borrowed(self.own);
        for name in names_of(&riders) {
            if !names.contains(&name) {
                names.to_mut().push(name);
            }
        }
        self.body = lists::delete_body(self.turn.account(), &names);
        self.riders = Some(riders);
        &self.body
    }

    fn failed(&mut self, outcome: Outcome) {
        for rider in self.riders.iter_mut().flatten() {
            rider.before = rider.before.max(outcome);
            rider.waiter.set_outcome(rider.before);
        }
    }
}

/// One caller of a delete that was refused because a list is not there.
#[derive(Clone)]
struct Member<'a> {
    names: Vec<&'a str>,
    ignore_missing: bool,
    outcome: Outcome,
    waiter: Option<&'a Waiter>,
}

impl<'a> Member<'a> {
    fn of(rider: &'a Rider) -> Member<'a> {
        Member {
            names: refs(rider.waiter.names()),
            ignore_missing: rider.waiter.ignore_missing,
            outcome: rider.before,
            waiter: Some(&rider.waiter),
        }
    }

    fn saw_removed(&self, name: &str) -> bool {
        self.waiter.is_some_and(|waiter| waiter.saw_removed(name))
    }

    /// Whether a missing list may be due to this client itself, or does not matter.
    fn may_miss(&self) -> bool {
        self.ignore_missing
            || self.outcome == Outcome::Unknown
            || self.names.iter().any(|name| self.saw_removed(name))
    }

    /// Whether nothing that is missing can be held against this caller, after the
    /// lists were read.
    fn is_settled(&self, exists: impl Fn(&str) -> bool) -> bool {
        self.ignore_missing
            || self.outcome == Outcome::Unknown
            || self.names.iter().all(|name| exists(name) || self.saw_removed(name))
    }
}

impl Inner {
    pub(crate) fn delete(
        &self,
        account: &str,
        names: &[&str],
        ignore_missing: bool,
        running: &Running,
    ) -> Result<Response> {
        let waits = || self.stats.add(Count::QueueWaits);
        match self.queue.enter(account, Some(names), ignore_missing, running, waits) {
            Entered::Turn(turn) => self.lead(&turn, names, ignore_missing, running),
            Entered::Served(result) => {
                self.stats.add(Count::MergedDeletes);
                result
            }
            Entered::Stopped(stop, outcome) => Err(self.left_queue(GROUP_DELETE, stop, outcome)),
        }
    }

    /// Sends a delete for this caller and for those it takes along.
    fn lead(
        &self,
        turn: &Turn<'_>,
        own: &[&str],
        ignore_missing: bool,
        running: &Running,
    ) -> Result<Response> {
        let mut tally = Tally::default();
        let mut merged = Merged { turn, own, riders: None, body: Vec::new() };
        let result = self.perform(GROUP_DELETE, &mut merged, true, running, &mut tally);
        let riders = merged.riders.unwrap_or_default();
        // This caller may have ridden along before, without an answer.
        let past = turn.own.as_ref().map_or(Outcome::NotSent, |waiter| waiter.outcome());
        if tally.personal {
            turn.hand_back(riders);
            return with_past(result.and_then(|reply| reply.into_response(&tally, |_, _| Ok(()))), past);
        }
        match result {
            Err(error) if means_missing(&error) => {
                let own = Member {
                    names: own.to_vec(),
                    ignore_missing,
                    outcome: past.max(tally.outcome),
                    waiter: turn.own.as_deref(),
                };
                with_past(self.settle_missing(turn, &own, tally, riders, error, running), past)
            }
            result => {
                let result = result.and_then(|reply| {
                    turn.removed(own.iter().copied().chain(names_of(&riders)));
                    reply.into_response(&tally, |_, _| Ok(()))
                });
                for rider in &riders {
                    rider.waiter.serve(with_past(result.clone(), rider.before));
                }
                with_past(result, past)
            }
        }
    }

    /// The service says that something is not there, without saying what. Who may
    /// take that for done, and what is still to be deleted, is found by reading.
    fn settle_missing(
        &self,
        turn: &Turn<'_>,
        own: &Member<'_>,
        mut tally: Tally,
        riders: Vec<Rider>,
        error: Error,
        running: &Running,
    ) -> Result<Response> {
        let was_alone = riders.is_empty();
        if was_alone && !own.may_miss() {
            return Err(error);
        }
        // From here on those who leave are told that it is open.
        let riders = turn.embark(riders);
        let mut reading = Tally::default();
        let read = match self.read_lists(turn.account(), running, &mut reading) {
            Ok(read) => read,
            Err(reason) if reading.personal => {
                turn.hand_back(riders);
                return Err(left_reading(reason, own, &tally));
            }
            Err(reason) => {
                for rider in &riders {
                    rider.waiter.serve(Err(unread(&error, &reason, &Member::of(rider))));
                }
                return Err(unread(&error, &reason, own));
            }
        };
        let exists = |name: &str| read.lists.iter().any(|list: &List| *list.name == *name);
        // Whoever names a list that is not there gets the service's own answer to
        // that, unless he has reason to find it gone.
        let own_settled = own.is_settled(exists);
        let own_gone: Vec<String> =
            own.names.iter().filter(|name| !exists(name)).map(|name| (*name).to_owned()).collect();
        let (mut together, apart): (Vec<_>, Vec<_>) =
            riders.into_iter().partition(|rider| Member::of(rider).is_settled(exists));
        let (left, gone) = {
            let riders = together.iter().map(Member::of);
            let settled: Vec<_> = own_settled.then(|| own.clone()).into_iter().chain(riders).collect();
            still_there(&settled, exists)
        };
        let mut joint_tally = Tally { attempts: tally.attempts, ..Tally::default() };
        let joint = match left.is_empty() {
            true => Ok(Response { attempts: tally.attempts, lists: Vec::new(), ..read.clone() }),
            false => self.alone(turn.account(), &refs(&left), running, &mut joint_tally),
        };
        if joint_tally.personal {
            for rider in &mut together {
                rider.before = rider.before.max(joint_tally.outcome);
            }
            turn.hand_back(together.into_iter().chain(apart).collect());
            return with_past(joint, own.outcome);
        }
        if joint.is_ok() {
            turn.removed(left.iter().chain(&gone).map(String::as_str));
        }
        for rider in &together {
            rider.waiter.serve(with_past(joint.clone(), rider.before));
        }
        self.repeat_apart(turn, apart, running);
        match own_settled {
            true => {
                with_past(joint, own.outcome).map(|response| Response { already_gone: own_gone, ..response })
            }
            // The first answer was this caller's own.
            false if was_alone => Err(error),
            false => self.alone(turn.account(), &own.names, running, &mut tally),
        }
    }

    /// A merged request that was refused is repeated for each caller by himself.
    fn repeat_apart(&self, turn: &Turn<'_>, mut riders: Vec<Rider>, running: &Running) {
        for index in 0..riders.len() {
            let mut tally = Tally::default();
            let names = refs(riders[index].waiter.names());
            let result = self.alone(turn.account(), &names, running, &mut tally);
            if tally.personal {
                riders[index].before = riders[index].before.max(tally.outcome);
                turn.hand_back(riders.split_off(index));
                return;
            }
            riders[index].waiter.serve(with_past(result, riders[index].before));
        }
    }

    /// One delete for these names, whoever asked for them. If its own first attempt
    /// may be why they are missing, that too is found by reading.
    fn alone(&self, account: &str, names: &[&str], running: &Running, tally: &mut Tally) -> Result<Response> {
        let body = lists::delete_body(account, names);
        let error = match self.perform(GROUP_DELETE, &mut Fixed(&body), true, running, tally) {
            Ok(reply) => return reply.into_response(tally, |_, _| Ok(())),
            Err(error) => error,
        };
        if !means_missing(&error) || tally.outcome != Outcome::Unknown {
            return Err(error);
        }
        match self.read_lists(account, running, &mut Tally::default()) {
            Ok(read) if !names.iter().any(|name| read.lists.iter().any(|list| *list.name == **name)) => {
                Ok(Response { attempts: tally.attempts, was_ambiguous: true, lists: Vec::new(), ..read })
            }
            _ => Err(error),
        }
    }

    fn read_lists(&self, account: &str, running: &Running, tally: &mut Tally) -> Result<Response> {
        self.stats.add(Count::MissingListReads);
        let body = lists::get_body(account, &[], false).expect("the account was checked");
        let reply = self.perform(GROUP_GET, &mut Fixed(&body), true, running, tally)?;
        reply.into_response(tally, |items, response| {
            response.lists = lists::items_of(items)?;
            Ok(())
        })
    }
}

fn means_missing(error: &Error) -> bool {
    matches!(error.code(), codes::INVALID_PARAMETERS | codes::LIST_NOT_FOUND)
}

/// Which lists are still to be deleted, and which this client has probably deleted
/// itself.
fn still_there(members: &[Member<'_>], exists: impl Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    let (mut left, mut gone) = (Vec::new(), Vec::new());
    for member in members {
        for name in &member.names {
            if !exists(name) {
                gone.extend((member.outcome == Outcome::Unknown).then(|| (*name).to_owned()));
            } else if !left.iter().any(|other| other == name) {
                left.push((*name).to_owned());
            }
        }
    }
    (left, gone)
}

/// One caller's view of a joint result: what had happened to his names before
/// counts too.
fn with_past(mut result: Result<Response>, before: Outcome) -> Result<Response> {
    match &mut result {
        Ok(response) => response.was_ambiguous |= before == Outcome::Unknown,
        Err(error) => {
            let details = error.details_mut();
            details.outcome = details.outcome.max(before);
        }
    }
    result
}

/// Whether a list is gone could not be read.
fn unread(error: &Error, reason: &Error, member: &Member<'_>) -> Error {
    let mut error = error.clone();
    let details = error.details_mut();
    let _ = write!(details.message, "; whether the lists are gone could not be read: {}", reason.message());
    details.outcome = if member.may_miss() { Outcome::Unknown } else { details.outcome.max(member.outcome) };
    error
}

/// The call ended while it read whether the lists are gone.
fn left_reading(mut reason: Error, own: &Member<'_>, tally: &Tally) -> Error {
    let details = reason.details_mut();
    details.attempts += tally.attempts;
    details.outcome = if own.may_miss() { Outcome::Unknown } else { own.outcome };
    reason
}

fn names_of(riders: &[Rider]) -> impl Iterator<Item = &str> + Clone {
    riders.iter().flat_map(|rider| rider.waiter.names()).map(String::as_str)
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
