//! The lock-free word of the pace and the line of an account, in every order in
//! which threads can come, up to a number of preemptions.
//!
//! The sources of the library are compiled in here as they are. `crate::sync` gives
//! them types that hand over to another thread at every step. Nothing is timed: a
//! wake-up that gets lost is a deadlock, and a failure. `run.py` shows that each
//! model fails once the line that it watches is spoiled.

#[path = "../../src/call.rs"]
#[allow(dead_code)]
mod call;
#[path = "../../src/codes.rs"]
#[allow(dead_code)]
mod codes;
#[path = "../../src/error.rs"]
#[allow(dead_code)]
mod error;
#[path = "../../src/lock.rs"]
mod lock;
#[path = "../../src/queue.rs"]
#[allow(dead_code)]
mod queue;
#[path = "../../src/slots.rs"]
#[allow(dead_code)]
mod slots;

/// In the place of `src/sync.rs`.
mod sync {
    pub use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
    pub use loom::sync::{Condvar, Mutex, MutexGuard};
}

/// What the queue knows of lists: how many fit into a request, and that there are replies.
mod lists {
    pub const LISTS_MAX: usize = 3;
    #[derive(Debug, PartialEq)]
    pub struct Response(pub &'static str);
}

mod models {
    use std::sync::{Arc, Mutex as Notes};
    use std::time::{Duration, Instant};

    use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use loom::thread::{JoinHandle, spawn};

    use crate::call::{Running, Stop};
    use crate::error::Outcome;
    use crate::lists::Response;
    use crate::queue::{AccountQueue, Entered, Turn};
    use crate::slots::{FULL, SECOND, Slot, allowed, lower, take_slot};

    /// Tries all orders with at most so many threads stopped against their will.
    fn in_every_order(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
        builder.max_branches = 10_000;
        builder.check(model);
    }

    // ---- the word of the pace

    const NOW: u64 = 1_000 * SECOND;
    const INTERVAL: u64 = 5;

    fn slot(next: &AtomicU64) -> u64 {
        let mut now = NOW;
        loop {
            match take_slot(next, now, INTERVAL, u64::MAX) {
                Slot::At(at) => return at,
                Slot::Later(wait) => now += wait,
                Slot::None => panic!("no slot"),
            }
        }
    }

    #[test]
    fn slots_are_given_once_spaced_and_without_a_gap() {
        in_every_order(4, || {
            let next = Arc::new(AtomicU64::new(0));
            let takers: Vec<_> = (0..2)
                .map(|_| {
                    let next = Arc::clone(&next);
                    spawn(move || [slot(&next), slot(&next)])
                })
                .collect();
            let mut slots = vec![slot(&next)];
            slots.extend(takers.into_iter().flat_map(|taker| taker.join().unwrap()));
            slots.sort_unstable();
            let expected: Vec<u64> = (0..5).map(|index| NOW + index * INTERVAL).collect();
            assert_eq!(slots, expected);
            assert_eq!(next.load(Ordering::Relaxed), NOW + 5 * INTERVAL);
        });
    }

    #[test]
    fn a_complaint_stops_all_for_a_second_and_loses_no_slot() {
        in_every_order(4, || {
            let next = Arc::new(AtomicU64::new(0));
            let level = Arc::new(AtomicU64::new(0));
            let complaint = {
                let (next, level) = (Arc::clone(&next), Arc::clone(&level));
                spawn(move || lower(&next, &level, NOW))
            };
            let taker = {
                let next = Arc::clone(&next);
                spawn(move || [slot(&next), slot(&next)])
            };
            // A second complaint of the same volley.
            lower(&next, &level, NOW);
            let mut slots = vec![slot(&next)];
            complaint.join().unwrap();
            slots.extend(taker.join().unwrap());
            slots.sort_unstable();
            let later = slots.partition_point(|&at| at < NOW + SECOND);
            let spaced =
                |from: u64, count: usize| (0..count as u64).map(move |index| from + index * INTERVAL);
            let expected: Vec<u64> = spaced(NOW, later).chain(spaced(NOW + SECOND, 3 - later)).collect();
            assert_eq!(slots, expected);
            assert_eq!(next.load(Ordering::Relaxed), NOW + SECOND + (3 - later) as u64 * INTERVAL);
            assert_eq!(allowed(level.load(Ordering::Relaxed), NOW), FULL * 7 / 10, "lowered once");
        });
    }

    // ---- the line of an account

    const ACCOUNT: &str = "alice";

    fn running() -> Running {
        Running {
            control: Arc::default(),
            shutdown: Arc::default(),
            deadline: Instant::now() + Duration::from_secs(3600),
        }
    }

    /// How waiting ended, and what is left to say once a turn was given back.
    #[derive(Debug, PartialEq)]
    enum End {
        Turn,
        Served(&'static str),
        Stopped(Stop, Outcome),
    }

    /// What the threads of one model share.
    #[derive(Default)]
    struct Scene {
        queue: Option<AccountQueue>,
        writing: AtomicBool,
        turns: Notes<Vec<&'static str>>,
    }

    impl Scene {
        fn new() -> Arc<Scene> {
            Arc::new(Scene { queue: Some(AccountQueue::new()), ..Scene::default() })
        }

        fn enter(&self, names: Option<&[&str]>, running: &Running, waited: impl FnOnce()) -> Entered<'_> {
            self.queue.as_ref().unwrap().enter(ACCOUNT, names, false, running, waited)
        }

        /// The turn of one who need not wait.
        fn turn(&self) -> Turn<'_> {
            match self.enter(None, &running(), || panic!("somebody has the turn")) {
                Entered::Turn(turn) => turn,
                _ => panic!("no turn"),
            }
        }

        /// Enters and, if it gets the turn, writes and gives it back.
        fn write(&self, name: &'static str, running: &Running, waited: impl FnOnce()) -> End {
            match self.enter(Some(&[name]), running, waited) {
                Entered::Turn(turn) => {
                    assert!(!self.writing.swap(true, Ordering::SeqCst), "two write at once");
                    self.turns.lock().unwrap().push(name);
                    self.writing.store(false, Ordering::SeqCst);
                    drop(turn);
                    End::Turn
                }
                Entered::Served(result) => End::Served(result.unwrap().0),
                Entered::Stopped(stop, outcome) => End::Stopped(stop, outcome),
            }
        }

        fn spawn_write(self: &Arc<Scene>, name: &'static str, running: &Running) -> JoinHandle<End> {
            let (scene, running) = (Arc::clone(self), running.clone());
            spawn(move || scene.write(name, &running, || ()))
        }

        /// `first` enters, and `second` once that one is in the line. Gives how both ended.
        fn spawn_two(
            self: &Arc<Scene>,
            first: &'static str,
            running_first: &Running,
            second: &'static str,
        ) -> JoinHandle<(End, End)> {
            let (scene, running_first) = (Arc::clone(self), running_first.clone());
            spawn(move || {
                let mut follower = None;
                let end = scene.write(first, &running_first, || {
                    follower = Some(scene.spawn_write(second, &running()));
                });
                let follower = follower.unwrap_or_else(|| scene.spawn_write(second, &running()));
                (end, follower.join().unwrap())
            })
        }

        fn turns(&self) -> Vec<&'static str> {
            self.turns.lock().unwrap().clone()
        }
    }

    #[test]
    fn one_writes_at_a_time_and_everybody_does() {
        in_every_order(2, || {
            let scene = Scene::new();
            let others = ["b", "c"].map(|name| scene.spawn_write(name, &running()));
            assert_eq!(scene.write("a", &running(), || ()), End::Turn);
            for other in others {
                assert_eq!(other.join().unwrap(), End::Turn);
            }
            assert_eq!(scene.turns().len(), 3);
            drop(scene.turn());
        });
    }

    #[test]
    fn turns_come_in_the_order_of_the_line() {
        in_every_order(3, || {
            let scene = Scene::new();
            let turn = scene.turn();
            let two = scene.spawn_two("b", &running(), "c");
            drop(turn);
            assert_eq!(two.join().unwrap(), (End::Turn, End::Turn));
            assert_eq!(scene.turns(), ["b", "c"]);
            drop(scene.turn());
        });
    }

    #[test]
    fn each_rider_gets_the_result_of_its_own_names_once() {
        in_every_order(3, || {
            let scene = Scene::new();
            let turn = scene.turn();
            let two = scene.spawn_two("b", &running(), "c");
            let riders = turn.embark(turn.gather(&["a"]));
            let served: Vec<&str> =
                riders.iter().map(|rider| if rider.waiter.names() == ["b"] { "b" } else { "c" }).collect();
            assert!(["b", "c"].starts_with(&served), "{served:?}");
            for (rider, name) in riders.into_iter().zip(&served) {
                rider.waiter.serve(Ok(Response(name)));
            }
            drop(turn);
            let (b, c) = two.join().unwrap();
            for (name, end) in [("b", b), ("c", c)] {
                let expected = if served.contains(&name) { End::Served(name) } else { End::Turn };
                assert_eq!(end, expected, "{name} of {served:?}");
            }
            drop(scene.turn());
        });
    }

    #[test]
    fn riders_that_are_handed_back_keep_their_order() {
        in_every_order(3, || {
            let scene = Scene::new();
            let turn = scene.turn();
            let two = scene.spawn_two("b", &running(), "c");
            let riders = turn.embark(turn.gather(&["a"]));
            turn.hand_back(riders);
            drop(turn);
            assert_eq!(two.join().unwrap(), (End::Turn, End::Turn));
            assert_eq!(scene.turns(), ["b", "c"]);
            drop(scene.turn());
        });
    }

    #[test]
    fn who_is_cancelled_leaves_and_never_keeps_the_turn() {
        in_every_order(3, || {
            let scene = Scene::new();
            let call = running();
            let turn = scene.turn();
            let two = scene.spawn_two("b", &call, "c");
            let canceller = spawn(move || call.control.cancel());
            drop(turn);
            canceller.join().unwrap();
            let (b, c) = two.join().unwrap();
            assert!(matches!(b, End::Turn | End::Stopped(Stop::Cancelled, Outcome::NotSent)), "{b:?}");
            assert_eq!(c, End::Turn);
            drop(scene.turn());
        });
    }

    #[test]
    fn who_leaves_while_riding_is_told_whether_its_names_were_sent() {
        in_every_order(3, || {
            let scene = Scene::new();
            let call = running();
            let turn = scene.turn();
            let rider = scene.spawn_write("b", &call);
            let canceller = spawn(move || call.control.cancel());
            let riders = turn.embark(turn.gather(&["a"]));
            let sent = !riders.is_empty();
            for rider in riders {
                rider.waiter.serve(Ok(Response("b")));
            }
            drop(turn);
            canceller.join().unwrap();
            match rider.join().unwrap() {
                End::Stopped(stop, outcome) => {
                    let expected = if sent { Outcome::Unknown } else { Outcome::NotSent };
                    assert_eq!((stop, outcome), (Stop::Cancelled, expected));
                }
                End::Served(result) => assert!(sent && result == "b"),
                End::Turn => assert!(!sent),
            }
            drop(scene.turn());
        });
    }
}
