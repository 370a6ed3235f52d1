//! Rows of features, owned one by one, so that memory is what is alive and nothing more.

use std::collections::{HashMap, VecDeque};

use esrgan_kernels::ChannelBlock;

/// One row of a feature map: `[block][1 + width + 1]`, one pixel of padding at either end of each block's row,
/// or that row transformed.
pub(crate) type Row = Box<[ChannelBlock]>;

/// Rows that are not in use, by their length, to be used again.
#[derive(Default)]
pub(crate) struct RowPool {
    free: HashMap<usize, Vec<Row>>,
}

impl RowPool {
    /// A row of `length` channel blocks with arbitrary content.
    pub(crate) fn take(&mut self, length: usize) -> Row {
        let reused = self.free.get_mut(&length).and_then(Vec::pop);
        reused.unwrap_or_else(|| vec![ChannelBlock::ZERO; length].into_boxed_slice())
    }

    /// Takes a row back.
    pub(crate) fn give(&mut self, row: Row) {
        self.free.entry(row.len()).or_default().push(row);
    }
}

/// The rows of a feature map that are alive.
#[derive(Default)]
pub(crate) struct LiveRows {
    first: isize,
    rows: VecDeque<Row>,
}

impl LiveRows {
    /// Forgets nothing, but counts the next pushed row as row `first`.
    pub(crate) fn start_at(&mut self, first: isize) {
        debug_assert!(self.rows.is_empty());
        self.first = first;
    }

    /// Appends the next row.
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push_back(row);
    }

    /// Appends the next rows.
    pub(crate) fn extend(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    /// Row `index`.
    ///
    /// # Panics
    /// Where it is not alive: a fault of the schedule.
    pub(crate) fn get(&self, index: isize) -> &[ChannelBlock] {
        let position = usize::try_from(index - self.first).expect("a row that is still alive");
        self.rows.get(position).expect("a row that has been computed")
    }

    /// Drops all rows before `first` into the pool.
    pub(crate) fn release_before(&mut self, first: isize, pool: &mut RowPool) {
        while self.first < first {
            let Some(row) = self.rows.pop_front() else { break };
            self.first += 1;
            pool.give(row);
        }
    }
}
