//! Memory for sizes that a file has named: asked for, not taken for granted.

use crate::error::Failure;

/// A vector of zeros, or a failure where the system refuses so many bytes.
///
/// Reserving first gives the refusal as a value; `vec!` then takes untouched pages from the system, so that a file which
/// promises a large picture and holds none costs address space and not memory.
pub(crate) fn zeroed<T: bytemuck::Zeroable + Clone>(count: u64) -> Result<Vec<T>, Failure> {
    let count = usize::try_from(count).map_err(|_| Failure::OutOfMemory(count))?;
    drop(reserved::<T>(count)?);
    Ok(vec![T::zeroed(); count])
}

/// An empty vector with room for `count`, or a failure where the system refuses it.
pub(crate) fn reserved<T>(count: usize) -> Result<Vec<T>, Failure> {
    let mut room = Vec::new();
    room.try_reserve_exact(count)
        .map_err(|_| Failure::OutOfMemory((count as u64).saturating_mul(size_of::<T>() as u64)))?;
    Ok(room)
}
