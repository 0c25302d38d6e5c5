//! Writers for the library's write callbacks.
use crate::raw;
use std::ffi::c_void;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::{io, ptr, slice, thread};

/// A writer, and how its last call ended: with a result or a panic.
struct Sink<W> {
    writer: W,
    ended: thread::Result<io::Result<()>>,
}

/// A gpt2_write_callback, whose `user` is a Sink.
unsafe extern "C" fn write_piece<W: io::Write>(
    user: *mut c_void,
    bytes: *const c_void,
    n_bytes: usize,
) -> i32 {
    let sink = unsafe { &mut *user.cast::<Sink<W>>() };
    let piece = unsafe { slice::from_raw_parts(bytes.cast(), n_bytes) };
    sink.ended = catch_unwind(AssertUnwindSafe(|| sink.writer.write_all(piece)));
    i32::from(!matches!(sink.ended, Ok(Ok(()))))
}

/// Lets `call` write to `writer`.  Returns the status of the call, or the writer's error; a panic of
/// the writer goes on here.
pub(crate) fn write_to<W: io::Write>(
    writer: W,
    call: impl FnOnce(raw::gpt2_write_callback, *mut c_void) -> i32,
) -> io::Result<i32> {
    let mut sink = Sink {
        writer,
        ended: Ok(Ok(())),
    };
    let status = call(write_piece::<W>, ptr::from_mut(&mut sink).cast());
    sink.ended.unwrap_or_else(|panic| resume_unwind(panic))?;
    Ok(status)
}
