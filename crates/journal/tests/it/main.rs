//! Journals of whole runs: killed, resumed, read back by others.

mod event_reader;
mod resume;
mod run;
mod tensorboard;
