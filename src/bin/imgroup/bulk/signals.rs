//! Signals: the first one lets a job drain, the second cancels what is in flight.

#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};

use imgroup::bulk::JobHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::progress::Display;

/// The exit codes of a process that a signal ended.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// What the thread that waits for signals shares with the job's.
#[derive(Clone, Default)]
pub struct Signals {
    first: Arc<AtomicU8>,
    asking: Arc<AtomicBool>,
}

impl Signals {
    /// From here on signals go to the job.
    pub fn watch(handle: JobHandle, display: Display) -> io::Result<Signals> {
        let signals = Signals::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let [interrupt, terminate, status] = {
            let _context = runtime.enter();
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::user_defined1()];
            let [interrupt, terminate, status] = kinds.map(signal);
            [interrupt?, terminate?, status?]
        };
        let watching = signals.clone();
        let work = move || runtime.block_on(watching.wait(interrupt, terminate, status, &handle, &display));
        // It ends with the process.
        std::thread::Builder::new().name("imgroup-signals".into()).spawn(work)?;
        Ok(signals)
    }

    /// The exit code for the signal that came, if one did.
    pub fn exit_code(&self) -> Option<u8> {
        Some(self.first.load(SeqCst)).filter(|&code| code != 0)
    }

    /// While a question stands on the terminal, a signal is the answer no.
    pub fn ask<T>(&self, question: impl FnOnce() -> T) -> T {
        self.asking.store(true, SeqCst);
        let answer = question();
        self.asking.store(false, SeqCst);
        answer
    }

    async fn wait(
        self,
        mut interrupt: Signal,
        mut terminate: Signal,
        mut status: Signal,
        handle: &JobHandle,
        display: &Display,
    ) {
        for number in 1.. {
            let code = loop {
                tokio::select! {
                    _ = interrupt.recv() => break INTERRUPTED,
                    _ = terminate.recv() => break TERMINATED,
                    _ = status.recv() => display.say(&display.status(&handle.progress())),
                }
            };
            let _ = self.first.compare_exchange(0, code, SeqCst, SeqCst);
            // A read of the input cannot be given up; nothing was sent then.
            let reads = handle.progress().rows == 0;
            match number {
                _ if self.asking.load(SeqCst) => {
                    eprintln!();
                    std::process::exit(code.into());
                }
                1 => {
                    display.say("imgroup: stopping: nothing new is sent, what is in flight is finished; again to cancel it");
                    handle.pause();
                }
                2 if !reads => {
                    display.say("imgroup: cancelling what is in flight");
                    handle.cancel();
                }
                _ => std::process::exit(code.into()),
            }
        }
    }
}
