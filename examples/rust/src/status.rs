//! Numbers of [`Error::status`](crate::Error::status), which never change.

/// An argument is out of range.
pub const ARGUMENT: i32 = -1;
/// A token id is outside the vocabulary, or a byte has no token.
pub const TOKEN: i32 = -2;
/// The tokens do not fit into the context.
pub const CONTEXT: i32 = -3;
/// The last call did not keep this row of logits.
pub const ROW: i32 = -4;
/// A buffer is too small.
pub const BUFFER: i32 = -5;
/// A piece of text is longer than the encoder was made for.
pub const PIECE: i32 = -6;
/// A sequence that is of another session, or of before a reset; or all sequences are open.
pub const SEQUENCE: i32 = -7;
/// Too few free pages of the KV cache: drop or truncate a sequence.
pub const PAGES: i32 = -8;
/// A saved state is damaged, or of another model or type.
pub const STATE: i32 = -9;
/// Out of memory.
pub const MEMORY: i32 = -20;
/// A thread could not be started.
pub const THREAD: i32 = -21;
/// A file cannot be opened or read.
pub const FILE: i32 = -40;
/// A file is damaged, or not of the format that it should have.
pub const FORMAT: i32 = -41;
/// Well-formed, but not what this library can run correctly.
pub const UNSUPPORTED: i32 = -42;
/// A [`Canceller`](crate::Canceller), a callback or a tap has ended the call.
pub const CANCELLED: i32 = -60;
/// The time of [`Session::set_timeout`](crate::Session::set_timeout) is over.
pub const DEADLINE: i32 = -61;
/// A logit is NaN or +infinity, or all are -infinity.
pub const NONFINITE: i32 = -80;
