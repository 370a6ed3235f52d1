//! Launches recorded once and repeated: for small pictures the host would otherwise take longer to ask than the device to compute.

use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;

use cubecl::client::{Client, Graph};
use cubecl::server::ServerError;

use crate::error::GpuError;

/// What is known of a run's launches.
#[derive(Debug, Default)]
enum State {
    /// Nothing: the next run is made plainly.
    #[default]
    New,
    /// The run has been made once, and may come again: the next run is recorded.
    Seen,
    /// The launches, and the thread whose stream they belong to.
    Recorded(Graph, ThreadId),
    /// The device does not record.
    Refused,
}

/// The recorded launches of one workspace.
#[derive(Debug, Default)]
pub(super) struct Recording(Mutex<State>);

impl Recording {
    /// Whether launches are repeated from a record.
    #[cfg(test)]
    pub(super) fn is_recorded(&self) -> bool {
        matches!(*self.0.lock().unwrap_or_else(PoisonError::into_inner), State::Recorded(..))
    }

    /// Computes by `launch`, or by what was recorded of it: the first time plainly, the second time it is recorded as well.
    ///
    /// `launch` must ask for the same launches over the same buffers each time, and for nothing else.
    pub(super) fn compute(
        &self,
        client: &Client,
        launch: &mut dyn FnMut() -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = std::thread::current().id();
        match &*state {
            State::New => {
                *state = State::Seen;
                launch()
            }
            State::Seen => {
                *state = match record(client, launch)? {
                    Some(graph) => State::Recorded(graph, thread),
                    None => State::Refused,
                };
                Ok(())
            }
            State::Recorded(graph, of) if *of == thread => {
                // SAFETY: the buffers live as long as the workspace, which owns this recording and which one run at a time uses; the
                // picture is written, and the result read, on this thread's stream, which is that of the recording.
                unsafe { graph.replay() }.map_err(GpuError::driver)
            }
            State::Recorded(..) | State::Refused => launch(),
        }
    }
}

/// Computes by `launch`, then records it; nothing where the device refuses.
fn record(
    client: &Client,
    launch: &mut dyn FnMut() -> Result<(), GpuError>,
) -> Result<Option<Graph>, GpuError> {
    let prepared = client.graph_prepare();
    launch()?;
    if prepared.is_err() || client.start_capture().is_err() {
        return Ok(None);
    }
    let launched = launch();
    let recorded: Result<Graph, ServerError> = client.stop_capture();
    launched?;
    Ok(recorded.ok())
}
