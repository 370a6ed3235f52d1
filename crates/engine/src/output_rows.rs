//! How the rows of a map are written: their shape and their padding.

use esrgan_kernels::{ChannelBlock, Isa, transformed_length};

use crate::edge::Edge;
use crate::graph::Form;
use crate::rows::Row;

/// How rows are to be written.
#[derive(Clone, Copy)]
pub(crate) struct OutputRows {
    /// Pixels in a row.
    pub(crate) pixels: usize,
    /// Channel blocks of a pixel.
    pub(crate) blocks: usize,
    pub(crate) form: Form,
    /// The edge mode left and right.
    pub(crate) padding: Edge,
    pub(crate) isa: Isa,
}

impl OutputRows {
    /// Length of one block's part of a row.
    pub(crate) fn block_length(&self) -> usize {
        match self.form {
            Form::Pixels | Form::Paired => self.pixels + 2,
            Form::Transformed => transformed_length(self.pixels),
        }
    }

    /// Fills the padding pixel at either end of a block's row.
    pub(crate) fn pad(&self, block: &mut [ChannelBlock]) {
        let width = block.len() - 2;
        self.pad_left(block);
        self.pad_right(&mut block[1..], width);
    }

    /// Fills the padding pixel before the first.
    pub(crate) fn pad_left(&self, block: &mut [ChannelBlock]) {
        let source = self.padding.resolve(-1, self.pixels);
        block[0] = source.map_or(ChannelBlock::ZERO, |x| block[1 + x]);
    }

    /// Fills the padding pixel behind the last of `pixels`, which end the row.
    pub(crate) fn pad_right(&self, end: &mut [ChannelBlock], pixels: usize) {
        let first = self.pixels - pixels;
        let source = self.padding.resolve(self.pixels as isize, self.pixels);
        end[pixels] = source.map_or(ChannelBlock::ZERO, |x| end[x - first]);
    }
}

/// The rows that a convolution writes: in `f32`, in bf16, or both.
pub(crate) struct Targets<'r> {
    pub(crate) pixels: Option<(OutputRows, &'r mut [Row])>,
    pub(crate) paired: Option<(OutputRows, &'r mut [Row])>,
}

impl<'r> Targets<'r> {
    /// Takes rows by their form.
    pub(crate) fn new(rows: impl Iterator<Item = (OutputRows, &'r mut [Row])>) -> Self {
        let mut targets = Self { pixels: None, paired: None };
        for (output, rows) in rows {
            let target = if output.form == Form::Paired { &mut targets.paired } else { &mut targets.pixels };
            *target = Some((output, rows));
        }
        targets
    }

    /// What both kinds of rows have in common.
    pub(crate) fn output(&self) -> OutputRows {
        let (output, _) = self.pixels.as_ref().or(self.paired.as_ref()).expect("a convolution has an output");
        *output
    }
}
