//! `eval`: how well a model does on pictures with known answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use taiyi_core::Embedding;

use crate::exit::Exit;
use crate::flags::EvalFlags;
use crate::settings::Settings;

mod candidates;
mod captions;
mod class_report;
mod classification;
mod export;
mod finder;
mod layout;
mod picture_table;
mod pictures;
mod published;
mod retrieval;
mod retrieval_report;
mod text_cache;

pub(crate) fn run(settings: &Settings, flags: &EvalFlags) -> anyhow::Result<Exit> {
    match flags {
        EvalFlags::Retrieval(flags) => retrieval::run(settings, flags),
        EvalFlags::Classification(flags) => classification::run(settings, flags),
    }
}

fn scores(query: &Embedding, candidates: &[Embedding]) -> Vec<f32> {
    candidates.iter().map(|candidate| query.score(candidate).get()).collect()
}

/// `judge` of each number below `n`, on several threads; of fewer once `cancel` is set.
fn parallel<T: Send>(
    n: usize,
    threads: usize,
    cancel: &AtomicBool,
    judge: impl Fn(usize) -> Option<T> + Sync,
) -> Vec<T> {
    let mut judged: Vec<Option<T>> = (0..n).map(|_| None).collect();
    let share = n.div_ceil(threads.max(1)).max(1);
    thread::scope(|scope| {
        for (part, judged) in judged.chunks_mut(share).enumerate() {
            let judge = &judge;
            scope.spawn(move || {
                for (offset, slot) in judged.iter_mut().enumerate() {
                    if cancel.load(Ordering::Relaxed) {
                        return;
                    }
                    *slot = judge(part * share + offset);
                }
            });
        }
    });
    judged.into_iter().flatten().collect()
}
