//! The index folder from outside: its life, its searches, its damage, its neighbours in other processes.

mod damage;
mod format;
mod life;
mod readers;
mod recall;
mod support;
