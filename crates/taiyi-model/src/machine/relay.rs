//! Handing small pieces of work to threads that wait for them without sleeping.
//!
//! A prompt is some sixty pieces of a fifth of a millisecond, one after the other. Waking a thread for each
//! costs as much as a tenth of it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::yield_now;

/// Looks at what is awaited before the processor is offered to others: some ten microseconds.
const SPINS: u32 = 2000;

type Job<'a> = &'a (dyn Fn(usize) + Sync);

/// Where one thread gives out jobs, and others help until it is closed.
#[derive(Default)]
pub(crate) struct Relay {
    /// The job given out: which one (32 bits), how many items it has (16) and how many are taken (16). An item is taken
    /// by adding one, so each is taken once; and only of the job that is under way, as its number is in here.
    ticket: AtomicU64,
    /// Items of the job that are over.
    done: AtomicUsize,
    job: Mutex<Option<Job<'static>>>,
    closed: AtomicBool,
    /// Held by who gives out a job.
    turn: Mutex<()>,
}

impl Relay {
    /// Runs `job` for every item below `items`, with the help of whoever serves, and returns when all are over. Where a
    /// job is under way, without help.
    pub(crate) fn run(&self, items: usize, job: &(dyn Fn(usize) + Sync)) {
        let (Ok(_turn), Ok(count @ 1..)) = (self.turn.try_lock(), u16::try_from(items)) else {
            return (0..items).for_each(job);
        };
        // SAFETY: the reference is used by those alone who took an item of this job, before they count it as done; this
        // call ends, by return or by panic, when all items are taken and done (`AllDone`); and no other job is given out
        // meanwhile (`turn`).
        let erased = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        *self.lock() = Some(erased);
        self.done.store(0, Ordering::Relaxed);
        let number = (self.ticket.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        let all_done = AllDone { relay: self, items };
        self.ticket.store(number << 32 | u64::from(count) << 16, Ordering::Release);
        while let Some(item) = self.take() {
            let _done = Done(&self.done);
            job(item);
        }
        drop(all_done);
    }

    /// Helps with jobs until the relay is closed.
    pub(crate) fn serve(&self) {
        let mut spins = 0;
        while !self.closed.load(Ordering::Acquire) {
            let Some(item) = self.take() else {
                wait(&mut spins);
                continue;
            };
            spins = 0;
            let _done = Done(&self.done);
            let job = *self.lock();
            if let Some(job) = job {
                job(item);
            }
        }
    }

    /// Sends those away who serve.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// An item of the job under way that nobody else has.
    fn take(&self) -> Option<usize> {
        let mut ticket = self.ticket.load(Ordering::Acquire);
        loop {
            let (count, taken) = (ticket >> 16 & 0xffff, ticket & 0xffff);
            if taken >= count {
                return None;
            }
            match self.ticket.compare_exchange_weak(ticket, ticket + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(taken as usize),
                Err(now) => ticket = now,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Job<'static>>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an item as over, by panic too.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Waits until every item is over. After a panic, those that nobody took are passed over.
struct AllDone<'a> {
    relay: &'a Relay,
    items: usize,
}

impl Drop for AllDone<'_> {
    fn drop(&mut self) {
        while self.relay.take().is_some() {
            self.relay.done.fetch_add(1, Ordering::Release);
        }
        let mut spins = 0;
        while self.relay.done.load(Ordering::Acquire) < self.items {
            wait(&mut spins);
        }
    }
}

fn wait(spins: &mut u32) {
    if *spins < SPINS {
        *spins += 1;
        spin_loop();
    } else {
        yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    #[test]
    fn every_item_of_every_job_runs_once_whoever_helps() {
        for helpers in [0, 1, 3] {
            let relay = Relay::default();
            thread::scope(|scope| {
                for _ in 0..helpers {
                    scope.spawn(|| relay.serve());
                }
                for items in (0..2000).map(|job| job % 7) {
                    let counts: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
                    relay.run(items, &|item| {
                        counts[item].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                }
                relay.close();
            });
        }
    }

    #[test]
    fn a_job_within_a_job_runs_as_well() {
        let relay = Relay::default();
        let sum = AtomicUsize::new(0);
        relay.run(3, &|_| {
            relay.run(5, &|item| {
                sum.fetch_add(item, Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 30);
    }

    #[test]
    fn a_panic_ends_the_job_and_not_the_relay() {
        let relay = Relay::default();
        let panicked = thread::scope(|scope| {
            let helper = scope.spawn(|| catch_unwind(AssertUnwindSafe(|| relay.serve())).is_err());
            let own = catch_unwind(AssertUnwindSafe(|| relay.run(50, &|item| assert_ne!(item, 20)))).is_err();
            relay.close();
            own || helper.join().unwrap()
        });
        assert!(panicked);
        let sum = AtomicUsize::new(0);
        relay.run(4, &|item| {
            sum.fetch_add(item, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 6);
    }
}
