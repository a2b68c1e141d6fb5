//! `eval`: how well a model does on pictures with known answers.

use crate::exit::Exit;
use crate::flags::EvalFlags;
use crate::settings::Settings;

mod captions;
mod retrieval;

pub(crate) fn run(settings: &Settings, flags: &EvalFlags) -> anyhow::Result<Exit> {
    match flags {
        EvalFlags::Retrieval(flags) => retrieval::run(settings, flags),
    }
}
